/** Kafka's rule for topic names. */
export const TOPIC_NAME_CHARS_MAX = 249;

const LEGAL = /^[a-zA-Z0-9._-]+$/;

export function isLegalTopicName(name: string): boolean {
  return name.length <= TOPIC_NAME_CHARS_MAX && name !== '.' && name !== '..' && LEGAL.test(name);
}
