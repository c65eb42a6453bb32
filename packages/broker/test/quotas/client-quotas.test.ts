import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BrokerError } from '../../src/errors.ts';
import { ClientQuotas } from '../../src/quotas/client-quotas.ts';
import { ConnectionQuotas } from '../../src/quotas/connection-quotas.ts';
import { ManualClock } from '../replication/helpers.ts';
import { quotaSection, WINDOW } from '../support/quotas.ts';

const rate = (producer_byte_rate: number) => ({ producer_byte_rate });

function quotas(
  records: Readonly<Record<string, Readonly<Record<string, number>>>>,
  options: { readonly usagesMax?: number } = {},
): { readonly clients: ClientQuotas; readonly clock: ManualClock } {
  const clock = new ManualClock();
  const clients = new ClientQuotas({ clock, window: WINDOW, ...options });
  clients.load(quotaSection(records));
  return { clients, clock };
}

describe('The quota that counts', () => {
  // From the first to the last of Kafka's order; each is taken away after its turn.
  const order: readonly (readonly [key: string, limit: number])[] = [
    ['user:u/client-id:c', 1000],
    ['user:u/client-id:', 2000],
    ['user:u', 3000],
    ['user:/client-id:c', 4000],
    ['user:/client-id:', 5000],
    ['user:', 6000],
    ['client-id:c', 7000],
    ['client-id:', 8000],
  ];
  for (const [index, [key, limit]] of order.entries()) {
    it(`is that of ${key} where no more special one is set`, () => {
      const { clients } = quotas(
        Object.fromEntries(order.slice(index).map(([name, value]) => [name, rate(value)])),
      );
      const allowance = clients.of(undefined, 'u', 'c');
      // All samples but one at once, and not a byte more.
      assert.equal(allowance.produced(limit * 10), 0);
      assert.ok(allowance.produced(limit) > 0);
    });
  }

  it('is another one for each kind of quota', () => {
    const { clients } = quotas({ 'user:u': { consumer_byte_rate: 7 }, 'client-id:c': rate(1000) });
    const allowance = clients.of(undefined, 'u', 'c');
    assert.equal(allowance.fetchBytesMax, 70);
    assert.equal(allowance.produced(10_000), 0);
    assert.ok(allowance.produced(1000) > 0);
  });

  it('is found with one look at each entity, for all kinds together', () => {
    const { clients } = quotas({});
    const section = quotaSection({ 'client-id:': { request_percentage: 1 } });
    let looks = 0;
    clients.load({
      size: section.size,
      entries: () => section.entries(),
      get: (key) => {
        looks++;
        return section.get(key);
      },
    });
    clients.of(undefined, 'u', 'c');
    assert.equal(looks, order.length);
  });

  it('is none for others', () => {
    const { clients } = quotas({ 'user:u': rate(1), 'client-id:c': rate(1) });
    assert.equal(clients.of(undefined, 'v', 'd').produced(1e9), 0);
  });

  it('changes with the limits, for connections that are there too, and what was used stays', () => {
    const { clients } = quotas({ 'user:u': rate(1000) });
    const before = clients.of(undefined, 'u', 'c');
    assert.equal(before.produced(10_000), 0);
    assert.equal(clients.of(before, 'u', 'c'), before);
    clients.load(quotaSection({ 'user:u': rate(500) }));
    const after = clients.of(before, 'u', 'c');
    assert.notEqual(after, before);
    // 10,000 bytes over 10 s are twice the new limit.
    assert.equal(after.produced(0), 10_000);
    clients.load(quotaSection({}));
    assert.equal(clients.enabled, false);
  });
});

describe('A quota', () => {
  it('of a user is shared by its clients, and one with a client id is not', () => {
    const { clients } = quotas({ 'user:shared': rate(1000), 'user:apart/client-id:': rate(1000) });
    clients.of(undefined, 'shared', 'a').produced(10_000);
    assert.ok(clients.of(undefined, 'shared', 'b').produced(1000) > 0);
    clients.of(undefined, 'apart', 'a').produced(10_000);
    assert.equal(clients.of(undefined, 'apart', 'b').produced(1000), 0);
  });

  it('by default is for each user on its own', () => {
    const { clients } = quotas({ 'user:': rate(1000) });
    clients.of(undefined, 'u', 'c').produced(10_000);
    assert.equal(clients.of(undefined, 'v', 'c').produced(10_000), 0);
    assert.ok(clients.of(undefined, 'u', 'd').produced(1000) > 0);
  });

  it('is remembered for a bounded number of clients: the one unused for longest makes room', () => {
    const { clients, clock } = quotas({ 'client-id:': rate(1000) }, { usagesMax: 3 });
    const oldest = clients.of(undefined, 'u', 'c0');
    oldest.produced(10_000);
    clock.now += 2000;
    for (const id of ['c1', 'c2', 'c3']) clients.of(undefined, 'u', id).produced(1);
    assert.equal(clients.trackedCount, 3);
    // Who still holds what was forgotten counts anew, in one place with those who ask now.
    assert.equal(oldest.produced(10_000), 0);
    assert.ok(clients.of(undefined, 'u', 'c0').produced(1000) > 0);
    assert.equal(clients.trackedCount, 3);
  });

  it('of fetches keeps back what is over it, and does not count that', () => {
    const { clients, clock } = quotas({ 'user:u': { consumer_byte_rate: 1000 } });
    const allowance = clients.of(undefined, 'u', 'c');
    assert.equal(allowance.fetchBytesMax, 10_000);
    assert.equal(allowance.fetched(10_000), 0);
    assert.equal(allowance.fetched(5000), 5000);
    assert.equal(allowance.fetched(5000), 5000);
    clock.now += 11_000;
    assert.equal(allowance.fetched(5000), 0);
  });

  it('of fetches lets one batch through that is larger than the whole window', () => {
    const { clients, clock } = quotas({ 'user:u': { consumer_byte_rate: 10 } });
    const allowance = clients.of(undefined, 'u', 'c');
    assert.equal(allowance.fetched(1_000_000), 0);
    assert.equal(allowance.fetched(1), 11_000);
    clock.now += 11_000;
    assert.equal(allowance.fetched(1_000_000), 0);
  });

  it('of request time counts a hundredth of the loop as one percent, and waits for one sample at most', () => {
    const { clients } = quotas({ 'user:u': { request_percentage: 1 } });
    const allowance = clients.of(undefined, 'u', 'c');
    // 100 ms are the share of ten seconds.
    allowance.spent(100);
    assert.equal(allowance.requestThrottleMs(), 0);
    allowance.spent(5);
    assert.equal(allowance.requestThrottleMs(), 500);
    allowance.spent(1000);
    assert.equal(allowance.requestThrottleMs(), 1000);
    assert.equal(clients.throttled.request.count, 2);
  });

  it('of mutations refuses what is strict, and lets the rest wait', () => {
    const { clients, clock } = quotas({ 'user:u': { controller_mutation_rate: 2 } });
    const strict = clients.of(undefined, 'u', 'c').mutations({ strict: true })!;
    // The bucket holds 22, and more may be taken from it once.
    strict.take(20);
    strict.take(6);
    assert.equal(strict.throttleMs, 0);
    assert.throws(
      () => strict.take(1),
      (error) =>
        error instanceof BrokerError &&
        error.code === 'THROTTLING_QUOTA_EXCEEDED' &&
        /2 created or deleted partitions per second; try again in 2000 ms/.test(error.message),
    );
    assert.equal(strict.throttleMs, 2000);
    clock.now += 2000;
    const old = clients.of(undefined, 'u', 'c').mutations({ strict: false })!;
    old.take(4);
    assert.equal(old.throttleMs, 2000);
  });
});

describe('The rate of new connections', () => {
  function connections(
    records: Readonly<Record<string, Readonly<Record<string, number>>>>,
    broker = Infinity,
    addressesMax = 10,
  ) {
    const clock = new ManualClock();
    const counters = new ClientQuotas({ clock, window: WINDOW });
    const quota = new ConnectionQuotas({ clock, window: WINDOW, broker, counters, addressesMax });
    quota.load(quotaSection(records));
    return { clock, counters, quota };
  }

  it('of one address closes what is over it after a while, and does not count that', () => {
    const { quota, clock, counters } = connections({ 'ip:10.0.0.1': { connection_creation_rate: 1 } });
    for (let index = 0; index < 10; index++) assert.equal(quota.accepted('10.0.0.1').kind, 'serve');
    const over = { kind: 'close', afterMs: 1000 };
    for (let index = 0; index < 10; index++) assert.deepEqual(quota.accepted('::ffff:10.0.0.1'), over);
    assert.equal(quota.accepted('10.0.0.2').kind, 'serve');
    assert.equal(counters.throttled.connection.count, 10);
    clock.now += 11_000;
    assert.equal(quota.accepted('10.0.0.1').kind, 'serve');
  });

  it('by default holds for each other address', () => {
    const { quota } = connections({
      'ip:': { connection_creation_rate: 0 },
      'ip:10.0.0.1': { connection_creation_rate: 5 },
    });
    assert.equal(quota.accepted('10.0.0.2').kind, 'close');
    assert.equal(quota.accepted('10.0.0.1').kind, 'serve');
  });

  it('of the broker delays those beyond it, each for longer', () => {
    const { quota } = connections({}, 2);
    for (let index = 0; index < 20; index++) assert.equal(quota.accepted('10.0.0.1').kind, 'serve');
    assert.deepEqual(quota.accepted('10.0.0.1'), { kind: 'delay', ms: 500 });
    assert.deepEqual(quota.accepted('10.0.0.2'), { kind: 'delay', ms: 1000 });
  });

  it('is measured for a bounded number of addresses', () => {
    const { quota } = connections({ 'ip:': { connection_creation_rate: 1 } });
    for (let index = 0; index < 100; index++) quota.accepted(`10.0.0.${index}`);
    assert.equal(quota.trackedCount, 10);
  });
});
