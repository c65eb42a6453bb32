import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { BrokerProcess } from './longrun/broker-process.ts';
import { runTransactionChaos, type ChaosReport } from './longrun/chaos-transactions.ts';
import { requirePeer } from './peers/peers.ts';

const { skip } = await requirePeer('python3-confluent-kafka');

describe('transactions under kill -9 (the long run is npm run chaos:transactions)', { skip }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-transactions-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function run(name: string, transactions: number, mutant?: string): Promise<ChaosReport> {
    const data = path.join(folder, name);
    const broker = await BrokerProcess.create({ data, ...(mutant === undefined ? {} : { mutant }) });
    try {
      return await runTransactionChaos({
        broker,
        transactions,
        seed: 1,
        blowsMin: 4,
        pauseMsMax: 1_000,
        librdkafkaProducers: 3,
        javaProducers: 0,
        timeouts: false,
      });
    } finally {
      await broker.stop();
    }
  }

  test('no transaction is torn, lost, or read though it was aborted', async () => {
    const { violations, ...counts } = await run('sound', 400);
    assert.deepEqual(violations, []);
    assert.ok(counts.brokerKills + counts.producerKills + counts.replacements >= 4);
    assert.ok(counts.committed > 100 && counts.aborted > 20 && counts.seen > 100);
  });

  test('the checker sees a last stable offset that ignores open transactions', async () => {
    const { violations } = await run('broken', 400, 'lso-ignores-open-transactions');
    assert.ok(violations.some(({ kind }) => kind === 'aborted-read'));
  });
});
