import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { freePorts } from '../../test/peers/ports.ts';
import { REPOSITORY, SOURCE_CONDITION } from '../commands.ts';
import type { Peer } from './peer.ts';

const MAIN = path.join(REPOSITORY, 'packages/broker/src/main.ts');
const PROFILE_INTERVAL_US = 500;

/** From its sources, as `npm start` runs it. */
export const polylog: Peer = {
  name: 'polylog',
  install() {
    const manifest = readFileSync(path.join(REPOSITORY, 'packages/broker/package.json'), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    return Promise.resolve(`Polylog ${version} on Node ${process.version}`);
  },
  async prepare(folder, { settings, profileFolder }) {
    const [kafka = 0, http = 0] = await freePorts(2);
    const flags = {
      data: path.join(folder, 'data'),
      kafka: `127.0.0.1:${kafka}`,
      http: `127.0.0.1:${http}`,
      'log-level': 'warn',
      ...settings,
    };
    const profile =
      profileFolder === undefined
        ? []
        : ['--cpu-prof', `--cpu-prof-interval=${PROFILE_INTERVAL_US}`, `--cpu-prof-dir=${profileFolder}`];
    const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    return {
      command: process.execPath,
      args: [...profile, SOURCE_CONDITION, MAIN, ...words],
      address: { host: '127.0.0.1', port: kafka },
    };
  },
  topicConfig: (flush) => (flush === 'default' ? {} : { flush }),
};
