import { apiVersions } from '@polylog/kafka-protocol';

import { Cluster } from '../../packages/cli/src/client/cluster.ts';
import { withEngine } from './engine.ts';
import { KAFKA_APIS, type KafkaApi } from './kafka-apis.ts';

/** What of docs/kafka.md is written by the code: the rest is written by hand. */
const BEGIN =
  '<!-- Written by `npm run docs` from what a broker answers; `npm run check` fails when it is stale. -->';
const END = '<!-- Until here. -->';
const TIMEOUT_MS = 10_000;

type Range = readonly [min: number, max: number];

/** docs/kafka.md, whole: `present` with a new table of the APIs. Throws if one has no entry in {@link KAFKA_APIS}. */
export async function kafkaPage(present: string): Promise<string> {
  const table = compatibilityTable(await servedVersions());
  const written = `${BEGIN}\n\n${table}\n${END}`;
  const begin = present.indexOf(BEGIN);
  const end = present.indexOf(END);
  // Without its place it goes to the end, where it is seen to be missing elsewhere.
  if (begin < 0 || end < begin) return `${present}${written}\n`;
  return present.slice(0, begin) + written + present.slice(end + END.length);
}

/** By key. */
export function compatibilityTable(
  served: ReadonlyMap<number, Range>,
  apis: readonly KafkaApi[] = KAFKA_APIS,
): string {
  const known = new Set(apis.map(({ key }) => key));
  for (const key of served.keys()) {
    if (!known.has(key))
      throw new Error(`API ${key} is served, and has no entry in scripts/docs/kafka-apis.ts`);
  }
  const rows = apis.map((api) => row(api, served.get(api.key)));
  return ['| API | Key | Polylog | Kafka 4.3 | Differences |', '|---|---|---|---|---|', ...rows, ''].join(
    '\n',
  );
}

function row({ key, name, kafka, note }: KafkaApi, served: Range | undefined): string {
  if (served === undefined && note === undefined) {
    throw new Error(`${name} is not served, and scripts/docs/kafka-apis.ts does not say why`);
  }
  const mark = served === undefined ? 'no' : rangeText(served);
  const cells = [name, String(key), mark, rangeText(kafka), note ?? ''];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function rangeText([min, max]: Range): string {
  return min === max ? String(min) : `${min}-${max}`;
}

/** What a broker that is really started advertises. */
async function servedVersions(): Promise<ReadonlyMap<number, Range>> {
  return withEngine(async ({ kafkaAddress }) => {
    const [host, port] = kafkaAddress.split(':');
    const bootstrap = [{ host: host!, port: Number(port) }];
    const cluster = new Cluster({ bootstrap, timeoutMs: TIMEOUT_MS });
    try {
      const software = { clientSoftwareName: 'polylog-docs', clientSoftwareVersion: '1' };
      const { apiKeys } = await cluster.request(apiVersions, software);
      return new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]]));
    } finally {
      await cluster.close();
    }
  });
}
