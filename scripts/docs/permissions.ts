/** docs/permissions.md: the table of permissions, as the pipeline enforces it. */
import { apis } from '@polylog/kafka-protocol';

import type { Check, Refusal } from '../../packages/broker/src/frontends/kafka/authorization-steps.ts';
import { AUTHORIZATION } from '../../packages/broker/src/frontends/kafka/authorization.ts';

const INTRODUCTION = `<!-- Written by \`npm run docs\` from the code; \`npm run check\` fails when it is stale. -->

# Permissions

What each API of Kafka's protocol asks for where access rules are in force ([security.md](security.md#access-rules)), and how a missing permission
shows. READ, WRITE, DELETE and ALTER include DESCRIBE, and ALTER_CONFIGS includes DESCRIBE_CONFIGS, in rules that allow. As in Kafka, a topic
that is named is refused before anybody looks whether it exists; ids of topics are no secret.

| API | Permission | Of | Without it |
|---|---|---|---|
`;

const RESOURCES: Readonly<Record<Check['resource'], string>> = {
  TOPIC: 'topic',
  GROUP: 'group',
  CLUSTER: 'cluster',
  TRANSACTIONAL_ID: 'transactional id',
  DELEGATION_TOKEN: 'delegation token',
  USER: 'user',
};

const REFUSALS: Readonly<Record<Refusal, string>> = {
  request: 'the request fails',
  entry: 'its entry in the answer fails',
  'left out': 'it is left out of the answer',
};

function rowOf(name: string, { operation, resource, refusal, when }: Check): string {
  const of = when === undefined ? RESOURCES[resource] : `${RESOURCES[resource]}: ${when}`;
  return `| ${name} | ${operation} | ${of} | ${REFUSALS[refusal]} |`;
}

export function permissionsPage(): string {
  const rows = Object.entries(AUTHORIZATION).flatMap(([key, rule]) => {
    const { name } = apis[key as keyof typeof apis];
    const checks = [
      ...rule.steps.flatMap((step) => step.checks),
      ...(rule.inHandler ?? []),
      ...(rule.filter?.checks ?? []),
    ];
    return checks.length === 0 ? [`| ${name} | none | | |`] : checks.map((check) => rowOf(name, check));
  });
  return `${INTRODUCTION}${rows.join('\n')}\n`;
}
