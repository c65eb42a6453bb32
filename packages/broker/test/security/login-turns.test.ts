import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ComputeError } from '../../src/platform/compute.ts';
import { LoginTurns, TURNS_PER_ADDRESS_MAX } from '../../src/security/login-turns.ts';

describe('Turns of logins', () => {
  it('come one after the other for one address, whatever became of the one before, and beside those of others', async () => {
    const turns = new LoginTurns();
    const seen: string[] = [];
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const first = turns.take('10.0.0.1', async () => {
      await gate;
      seen.push('first');
      throw new Error('failed');
    });
    const second = turns.take('10.0.0.1', async () => void seen.push('second'));
    await turns.take('10.0.0.2', async () => void seen.push('other'));
    assert.deepEqual(seen, ['other']);
    open();
    await assert.rejects(first, /failed/);
    await second;
    assert.deepEqual(seen, ['other', 'first', 'second']);
  });

  it('are refused where too many of one address wait', async () => {
    const turns = new LoginTurns();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const waiting = Array.from({ length: TURNS_PER_ADDRESS_MAX }, () => turns.take('10.0.0.1', () => gate));
    await assert.rejects(
      turns.take('10.0.0.1', async () => undefined),
      ComputeError,
    );
    await turns.take('10.0.0.2', async () => undefined);
    open();
    await Promise.all(waiting);
    await turns.take('10.0.0.1', async () => undefined);
  });
});
