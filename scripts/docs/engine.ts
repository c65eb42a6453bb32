import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { resolveConfig } from '../../packages/broker/src/config/load.ts';
import { Engine } from '../../packages/broker/src/engine.ts';
import { createNodePlatform } from '../../packages/broker/src/platform/node/index.ts';

/** Runs something over a broker that is really started, on a free port, and gone afterwards. */
export async function withEngine<T>(run: (engine: Engine) => T | Promise<T>): Promise<T> {
  const dataDirectory = await mkdtemp(path.join(tmpdir(), 'polylog-docs-'));
  const option = (name: string, text: string) => ({ name, text, source: 'option', where: name }) as const;
  try {
    const config = resolveConfig([option('kafka', '127.0.0.1:0'), option('log-level', 'silent')]);
    const platform = createNodePlatform({ logger: { level: 'silent' } });
    const engine = await Engine.start(platform, config, { dataDirectory, hostname: 'docs' });
    try {
      return await run(engine);
    } finally {
      await engine.stop();
    }
  } finally {
    await rm(dataDirectory, { recursive: true, force: true });
  }
}
