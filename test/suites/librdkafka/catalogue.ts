/**
 * Which of librdkafka's tests need a broker: read from the table `tests[]` of tests/test.c, whose entries are
 * `_TEST(0045_subscribe_update, FLAGS, TEST_BRKVER(...), .scenario = "noautocreate")`. Counted are those without TEST_F_LOCAL (which
 * need none, or bring a mock cluster of their own), but for share groups' and the one manual test of a mock cluster.
 */

export interface SuiteTest {
  /** Such as 0045_subscribe_update; the suite's runner selects by the four digits only. */
  readonly name: string;
  readonly number: string;
  /** Which kind of cluster it asks for: `default` creates topics by itself, `noautocreate` does not. */
  readonly scenario: 'default' | 'noautocreate';
  /** The suite runs it only if asked to, since it fails with Apache Kafka as well. */
  readonly knownIssue: boolean;
}

/** The sets that the runner is given at once: it selects by number and scenario. */
export interface TestGroup {
  readonly number: string;
  readonly scenario: SuiteTest['scenario'];
  readonly knownIssue: boolean;
  /** In the suite's quick mode: fewer messages, and some parts left out. */
  readonly quick: boolean;
  /** One run for each; undefined: one run of all. */
  readonly parts: readonly string[] | undefined;
  readonly tests: readonly SuiteTest[];
}

/**
 * Of these the suite's quick mode leaves out everything, or skips them: they run in full. (0150, which does too, takes three minutes with
 * a mock cluster.)
 */
const NOT_QUICK = ['0018', '0019', '0026', '0045', '0050', '0082', '0089', '0102', '0122', '0127', '0132'];

/**
 * Of these the quick mode leaves nothing either, but some of their parts are of share groups: the others run in full, each that has one of
 * these texts in its name.
 */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  '0126': ['do_test_produce_consumer_with_OIDC', 'do_test_OIDC_aws_iam'],
  '0142': ['do_test_consumer', 'do_test_producer', 'do_test_txn_producer', 'do_test_reauth_failure'],
};

const ENTRY = /_TEST\(\s*(\d{4})_(\w+),\s*([^,)]*)((?:[^()]|\([^()]*\))*)\)/g;
const SHARE_GROUPS = /^share_/;
const MANUAL_MOCK = /_mock_manual$/;

/** @param source the text of tests/test.c */
export function testsThatNeedABroker(source: string): SuiteTest[] {
  const from = source.indexOf('struct test tests[]');
  const table = source.slice(from, source.indexOf('{NULL}', from));
  const tests: SuiteTest[] = [];
  for (const [, number = '', rest = '', flags = '', others = ''] of table.matchAll(ENTRY)) {
    const words = flags.split('|').map((word) => word.trim());
    if (words.includes('TEST_F_LOCAL') || SHARE_GROUPS.test(rest) || MANUAL_MOCK.test(rest)) continue;
    const scenarios = /\.scenario\s*=\s*"([^"]*)"/.exec(others)?.[1]?.split(',') ?? ['default'];
    tests.push({
      name: `${number}_${rest}`,
      number,
      scenario: scenarios.includes('default') ? 'default' : 'noautocreate',
      knownIssue: words.includes('TEST_F_KNOWN_ISSUE'),
    });
  }
  if (tests.length === 0) throw new Error('tests/test.c has no table of tests as this program knows it');
  return tests;
}

export function groupTests(tests: readonly SuiteTest[]): TestGroup[] {
  const groups = new Map<string, SuiteTest[]>();
  for (const test of tests) {
    const key = `${test.number} ${test.scenario} ${test.knownIssue}`;
    groups.set(key, [...(groups.get(key) ?? []), test]);
  }
  return [...groups.values()].map((members) => {
    const { number, scenario, knownIssue } = members[0]!;
    const parts = PARTS[number];
    const quick = parts === undefined && !NOT_QUICK.includes(number);
    return { number, scenario, knownIssue, quick, parts, tests: members };
  });
}
