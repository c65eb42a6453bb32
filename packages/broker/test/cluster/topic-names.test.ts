import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterImage, TopicImage } from '../../src/cluster/image.ts';
import { validateNoCollision } from '../../src/cluster/topic-names.ts';

/** An image that counts how often all of its topics are looked at. */
function imageOf(names: readonly string[]): { image: ClusterImage; walks: () => number } {
  let walks = 0;
  const topics = (): TopicImage[] => {
    walks++;
    return names.map((kafkaName) => ({ kafkaName }) as TopicImage);
  };
  return { image: { topics } as unknown as ClusterImage, walks: () => walks };
}

test('names that differ in dots and underscores alone collide', () => {
  const { image } = imageOf(['a.b', 'plain', 'c_d.e']);
  const refused = { code: 'INVALID_TOPIC_EXCEPTION' };
  assert.throws(() => validateNoCollision(image, 'a_b'), refused);
  assert.throws(() => validateNoCollision(image, 'c.d_e'), refused);
  for (const name of ['a.b', 'plain', 'a.c', 'ab', 'c.d', '__a.b']) validateNoCollision(image, name);
});

test('thousands of new names look at the topics of an image once', () => {
  const { image, walks } = imageOf(['a.b', 'c.d']);
  for (let index = 0; index < 5000; index++) validateNoCollision(image, `new.${index}`);
  assert.equal(walks(), 1);
});
