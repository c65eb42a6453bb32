import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  FAILURES_PER_ADDRESS_MAX,
  FAILURES_PER_USER_MAX,
  LIMITER_ENTRIES_MAX,
  LoginLimiter,
} from '../../src/security/login-limiter.core.ts';

describe('The limiter of logins', () => {
  it('makes who guesses the password of a user wait, and nobody else', () => {
    const limiter = new LoginLimiter();
    for (let tries = 0; tries < FAILURES_PER_USER_MAX; tries++) {
      assert.equal(limiter.attempt('10.0.0.1', 'alice', 0), 0);
    }
    const waitMs = limiter.attempt('10.0.0.1', 'alice', 0);
    assert.ok(waitMs > 0 && waitMs <= 60_000, String(waitMs));
    assert.equal(limiter.attempt('10.0.0.1', 'bob', 0), 0);
    assert.equal(limiter.attempt('10.0.0.2', 'alice', 0), 0);
    assert.ok(limiter.attempt('10.0.0.1', 'alice', waitMs - 1) > 0);
    assert.equal(limiter.attempt('10.0.0.1', 'alice', waitMs), 0);
  });

  it('never makes those wait who know their passwords', () => {
    const limiter = new LoginLimiter();
    for (let logins = 0; logins < 10 * FAILURES_PER_ADDRESS_MAX; logins++) {
      assert.equal(limiter.attempt('10.0.0.1', 'alice', 0), 0);
      limiter.succeeded('10.0.0.1', 'alice');
    }
  });

  it('counts attempts under way, so that many at once gain nothing', () => {
    const limiter = new LoginLimiter();
    const allowed = Array.from({ length: 1000 }, () => limiter.attempt('10.0.0.1', 'alice', 0));
    assert.equal(allowed.filter((waitMs) => waitMs === 0).length, FAILURES_PER_USER_MAX);
  });

  it('bounds what one address tries with many users', () => {
    const limiter = new LoginLimiter();
    const allowed = Array.from({ length: 1000 }, (_, at) => limiter.attempt('10.0.0.1', `user${at}`, 0));
    assert.equal(allowed.filter((waitMs) => waitMs === 0).length, FAILURES_PER_ADDRESS_MAX);
  });

  it('keeps a bounded table', () => {
    const limiter = new LoginLimiter();
    for (let at = 0; at < LIMITER_ENTRIES_MAX; at++) limiter.attempt(`address ${at}`, 'alice', 0);
    assert.equal(limiter.size, LIMITER_ENTRIES_MAX);
  });
});
