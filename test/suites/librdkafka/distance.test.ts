import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Distance } from './distance.ts';

/** More than a piece needs from end to end when nothing holds it back. */
const TURNS = 100;

describe('A broker at a distance', () => {
  let echo: Server;
  before(async () => {
    echo = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => socket.destroy());
      socket.pipe(socket);
    });
    await once(echo.listen(0, '127.0.0.1'), 'listening');
  });
  after(() => echo.close());

  test('answers when its latency has passed by, in order', async () => {
    const passing = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const distance = await Distance.to(addressOf(echo), () => {
      held.resolve();
      return passing.promise;
    });
    const client = await clientOf(distance);
    const received: Buffer[] = [];
    client.on('data', (chunk: Buffer) => received.push(chunk));
    client.write('one');
    await held.promise;
    client.write(' two');
    for (let turn = 0; turn < TURNS; turn++) await nextTurn();
    assert.equal(received.length, 0, 'an answer came too early');
    passing.resolve();
    client.end(' three');
    await once(client, 'close');
    assert.equal(Buffer.concat(received).toString(), 'one two three');
    await distance.close();
  });

  test('hangs up when it is closed, and when its broker is not there', async () => {
    const distance = await Distance.to(addressOf(echo), nextTurn);
    const client = await clientOf(distance);
    client.write('one');
    await once(client, 'data');
    const closed = once(client, 'close');
    await distance.close();
    await closed;

    const nobody = await Distance.to('127.0.0.1:1', nextTurn);
    await once(await clientOf(nobody), 'close');
    await nobody.close();
  });
});

function addressOf(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function clientOf(distance: Distance): Promise<Socket> {
  const client = connect(Number(distance.address.split(':')[1]), '127.0.0.1');
  client.on('error', () => client.destroy());
  client.resume(); // so that it notices when the other side hangs up
  await once(client, 'connect');
  return client;
}
