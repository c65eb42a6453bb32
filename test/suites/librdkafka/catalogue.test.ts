import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupTests, testsThatNeedABroker } from './catalogue.ts';

const SOURCE = `
struct test tests[] = {
    {.name = "<MAIN>", .flags = TEST_F_LOCAL},
    _TEST(0000_unittests, TEST_F_LOCAL, _THRES(.ucpu = 100.0, .scpu = 20.0)),
    _TEST(0018_cgrp_term, 0, TEST_BRKVER(0, 9, 0, 0)),
    _TEST(0028_names,
          TEST_F_KNOWN_ISSUE,
          TEST_BRKVER(0, 9, 0, 0),
          .extra = "some issue"),
    _TEST(0045_update, 0, TEST_BRKVER(0, 9, 0, 0)),
    _TEST(0045_remove,
          0,
          TEST_BRKVER(0, 9, 0, 0),
          .scenario = "noautocreate"),
    _TEST(0045_mock, TEST_F_LOCAL),
    _TEST(0049_close, TEST_F_SOCKEM, TEST_BRKVER(0, 9, 0, 0)),
    _TEST(0066_plugins,
          TEST_F_LOCAL | TEST_F_KNOWN_ISSUE_OSX,
          .extra = "not (yet) fixed"),
    _TEST(0103_transactions,
          0,
          TEST_BRKVER(0, 11, 0, 0),
          .scenario = "default,ak23"),
    _TEST(0170_share_consumer, 0, TEST_BRKVER(4, 2, 0, 0)),
    /* Manual tests */
    _TEST(8000_idle, TEST_F_MANUAL),
    _TEST(8001_fetch_mock_manual, TEST_F_MANUAL),

    {NULL}};
    _TEST(9999_behind_the_table, 0),
`;

test('counted are the tests that need a broker and are not of share groups', () => {
  assert.deepEqual(
    testsThatNeedABroker(SOURCE).map(({ name, scenario, knownIssue }) => [name, scenario, knownIssue]),
    [
      ['0018_cgrp_term', 'default', false],
      ['0028_names', 'default', true],
      ['0045_update', 'default', false],
      ['0045_remove', 'noautocreate', false],
      ['0049_close', 'default', false],
      ['0103_transactions', 'default', false],
      ['8000_idle', 'default', false],
    ],
  );
});

test('tests of one number and one scenario run together', () => {
  const groups = groupTests(testsThatNeedABroker(SOURCE)).map(
    ({ number, scenario, quick }) => `${number} ${scenario}${quick ? '' : ' in full'}`,
  );
  assert.deepEqual(groups, [
    '0018 default in full',
    '0028 default',
    '0045 default in full',
    '0045 noautocreate in full',
    '0049 default',
    '0103 default',
    '8000 default',
  ]);
});

test('a source without the table is an error, not an empty suite', () => {
  assert.throws(() => testsThatNeedABroker('int main;'), /no table/);
});
