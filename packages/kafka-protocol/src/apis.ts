import { apiVersions } from './messages/api-versions.ts';
import { fetch } from './messages/fetch.ts';
import { metadata } from './messages/metadata.ts';
import { produce } from './messages/produce.ts';
import type { Api } from './schema/index.ts';

/** Every API of this package, by the name that its file exports. */
export const apis = {
  produce,
  fetch,
  metadata,
  apiVersions,
} as const;

const byKey: Api[] = [];
for (const api of Object.values(apis) as Api[]) byKey[api.key] = api;

export function apiByKey(key: number): Api | undefined {
  return byKey[key];
}
