import { apis, type Api, type Message } from '@polylog/kafka-protocol';

export interface Case {
  /** For example `FetchRequest v12`. */
  readonly title: string;
  readonly api: Api;
  readonly message: Message<unknown, never>;
  readonly version: number;
}

/** Every API in every version and both directions. */
export const everyMessage: readonly Case[] = (Object.values(apis) as Api[]).flatMap((api) =>
  [api.request, api.response].flatMap((message) => {
    const cases: Case[] = [];
    for (let version = message.versionMin; version <= message.versionMax; version++) {
      cases.push({ title: `${message.name} v${version}`, api, message, version });
    }
    return cases;
  }),
);
