import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Connection, ConnectionHandler, Listener, Network } from '../../src/platform/network.ts';

export interface NetworkUnderTest {
  /** Of the side that listens. */
  readonly server: Network;
  readonly client: Network;
  readonly host: string;
  /** Lets the time pass in which the promise settles. */
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Lets time pass until the condition holds; throws if it does not. */
  until(condition: () => boolean): Promise<void>;
  pass(milliseconds: number): Promise<void>;
  close(): void;
}

/** Records what its connection tells it, and keeps the rules of a handler. */
class Recorder implements ConnectionHandler {
  readonly connection: Connection;
  readonly received: Buffer[] = [];
  receivedBytes = 0;
  drains = 0;
  closes: (Error | undefined)[] = [];
  onData: ((chunk: Uint8Array) => void) | undefined;

  constructor(connection: Connection) {
    this.connection = connection;
    connection.start(this);
  }

  data(chunk: Uint8Array, release: () => void): void {
    assert.equal(this.closes.length, 0, 'data after the close');
    assert.ok(chunk.length > 0);
    this.received.push(Buffer.from(chunk));
    this.receivedBytes += chunk.length;
    this.onData?.(chunk);
    release();
  }

  drained(): void {
    assert.equal(this.closes.length, 0, 'drained after the close');
    assert.equal(this.connection.bufferedBytes, 0);
    this.drains++;
  }

  closed(error: Error | undefined): void {
    this.closes.push(error);
  }

  get text(): string {
    return Buffer.concat(this.received).toString();
  }
}

function pattern(length: number, salt: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 31 + (index >> 8) * 7 + salt) & 0xff;
  return bytes;
}

/**
 * What every Network keeps to. With `tls` bytes are encrypted at leisure, so that nothing is gone at once after a flush, and who is refused
 * learns it in the handshake.
 */
export function testNetwork(
  name: string,
  make: () => NetworkUnderTest,
  { tls }: { readonly tls: boolean } = { tls: false },
): void {
  describe(`${name}, as a network`, () => {
    let under: NetworkUnderTest;
    let listener: Listener;
    let accepted: Recorder[];

    beforeEach(async () => {
      under = make();
      accepted = [];
      const options = { host: under.host, port: 0, connectionsMax: 8, connectionsPerAddressMax: 4 };
      listener = await under.settle(under.server.listen(options, (one) => accepted.push(new Recorder(one))));
    });
    afterEach(async () => {
      await under.settle(listener.close());
      under.close();
    });

    const dial = (port = listener.port): Promise<Connection> =>
      under.settle(under.client.connect({ host: under.host, port, timeoutMs: 2000 }));

    /** Both sides of a new connection. */
    const pair = async (): Promise<[Recorder, Recorder]> => {
      const before = accepted.length;
      const client = new Recorder(await dial());
      await under.until(() => accepted.length > before);
      return [client, accepted[before]!];
    };

    it('carries bytes both ways, in order', async () => {
      const [client, server] = await pair();
      client.connection.write([Buffer.from('hel'), Buffer.from('lo')]);
      client.connection.write([Buffer.from(' world')]);
      await under.until(() => server.text === 'hello world');
      server.connection.write([Buffer.from('bye')]);
      await under.until(() => client.text === 'bye');
      assert.equal(client.connection.remotePort, listener.port);
      assert.equal(server.connection.localPort, listener.port);
      assert.equal(server.connection.remotePort, client.connection.localPort);
      client.connection.destroy();
      server.connection.destroy();
      await under.until(() => client.closes.length + server.closes.length === 2);
    });

    it('carries megabytes both ways at once, byte for byte', async () => {
      const [client, server] = await pair();
      const there = pattern(3_000_000, 1);
      const back = pattern(2_500_000, 2);
      for (let offset = 0; offset < there.length; offset += 70_001) {
        client.connection.write([there.subarray(offset, offset + 70_001)]);
      }
      for (let offset = 0; offset < back.length; offset += 999) {
        server.connection.write([back.subarray(offset, offset + 999)]);
      }
      assert.equal(client.connection.bufferedBytes, there.length);
      await under.until(() => server.receivedBytes === there.length && client.receivedBytes === back.length);
      assert.ok(Buffer.concat(server.received).equals(there));
      assert.ok(Buffer.concat(client.received).equals(back));
      await under.until(() => client.drains > 0 && server.drains > 0);
      assert.equal(client.connection.bufferedBytes, 0);
      client.connection.close();
      await under.until(() => client.closes.length + server.closes.length === 2);
      assert.deepEqual([...client.closes, ...server.closes], [undefined, undefined]);
    });

    it('hands over at once what it is told to flush, in order, and needs the memory no more', async () => {
      const [client, server] = await pair();
      const chunk = Buffer.from('second');
      server.connection.write([Buffer.from('first ')]);
      server.connection.write([chunk]);
      const left = server.connection.flush();
      if (tls) await under.until(() => server.connection.bufferedBytes === 0);
      else assert.equal(left, 0);
      chunk.fill('x');
      server.connection.write([Buffer.from(' third')]);
      await under.until(() => client.text === 'first second third');
      await under.until(() => server.drains > 0);
      if (!tls) assert.equal(server.connection.flush(), 0);
      client.connection.destroy();
      await under.until(() => client.closes.length + server.closes.length === 2);
      assert.equal(server.connection.flush(), 0);
    });

    it('says how much of a flush the peer has no room for', async () => {
      const [client, server] = await pair();
      client.connection.pauseReading();
      const sent = pattern(16_000_000, 5);
      server.connection.write([sent]);
      assert.ok(server.connection.flush() > 0);
      client.connection.resumeReading();
      await under.until(() => client.receivedBytes === sent.length);
      await under.until(() => server.drains > 0);
      assert.ok(Buffer.concat(client.received).equals(sent));
      client.connection.destroy();
      server.connection.destroy();
    });

    it('does not touch a lent chunk before it is released, and lends others meanwhile', async () => {
      const lent: { chunk: Uint8Array; copy: Buffer; release: () => void }[] = [];
      let bytes = 0;
      const options = { host: under.host, port: 0, connectionsMax: 8, connectionsPerAddressMax: 4 };
      const hold = (connection: Connection): void =>
        connection.start({
          data(chunk, release) {
            bytes += chunk.length;
            lent.push({ chunk, copy: Buffer.from(chunk), release });
          },
          drained: () => undefined,
          closed: () => undefined,
        });
      const holding = await under.settle(under.server.listen(options, hold));
      const client = new Recorder(await dial(holding.port));
      const sent = pattern(500_000, 3);
      client.connection.write([sent]);
      await under.until(() => bytes === sent.length);
      assert.ok(Buffer.concat(lent.map(({ copy }) => copy)).equals(sent));
      for (const { chunk, copy } of lent) assert.ok(copy.equals(chunk));
      for (const { chunk, copy, release } of lent.reverse()) {
        release();
        assert.ok(
          copy.every((byte, index) => byte === 0xdb || chunk[index] === 0xdb),
          'released chunks are poisoned',
        );
        assert.throws(release, /twice/);
      }
      client.connection.destroy();
      await under.settle(holding.close());
    });

    it('stops reading while paused, and lets the writer feel it', async () => {
      const [client, server] = await pair();
      server.connection.pauseReading();
      await under.pass(20);
      const before = server.receivedBytes;
      const sent = pattern(16_000_000, 4);
      client.connection.write([sent]);
      await under.pass(60);
      assert.equal(server.receivedBytes, before);
      assert.ok(client.connection.bufferedBytes > 0);
      assert.equal(client.drains, 0);
      server.connection.resumeReading();
      await under.until(() => server.receivedBytes === sent.length);
      await under.until(() => client.drains === 1);
      client.connection.destroy();
      server.connection.destroy();
    });

    it('can be paused from within the delivery of a chunk', async () => {
      const [client, server] = await pair();
      server.onData = () => server.connection.pauseReading();
      client.connection.write([pattern(2_000_000, 5)]);
      await under.until(() => server.received.length === 1);
      await under.pass(30);
      assert.equal(server.received.length, 1);
      server.onData = undefined;
      server.connection.resumeReading();
      await under.until(() => server.receivedBytes === 2_000_000);
      client.connection.destroy();
      server.connection.destroy();
    });

    it('sends all that was written before it closes, and nothing later', async () => {
      const [client, server] = await pair();
      const sent = pattern(3_000_000, 6);
      client.connection.write([sent]);
      client.connection.close();
      client.connection.write([Buffer.from('late')]);
      client.connection.close();
      await under.until(() => server.closes.length === 1 && client.closes.length === 1);
      assert.ok(Buffer.concat(server.received).equals(sent));
      assert.deepEqual(server.closes, [undefined]);
      assert.deepEqual(client.closes, [undefined]);
    });

    it('ends a close that the peer does not read after a while', async () => {
      const [client, server] = await pair();
      server.connection.pauseReading();
      client.connection.write([pattern(16_000_000, 7)]);
      client.connection.close();
      await under.pass(1000);
      assert.equal(client.closes.length, 0);
      await under.pass(1500);
      assert.equal(client.closes.length, 1);
      server.connection.destroy();
      await under.until(() => server.closes.length === 1);
    });

    it('drops what was not sent when it is destroyed, and hands over the reason', async () => {
      const [client, server] = await pair();
      client.connection.write([pattern(1000, 8)]);
      const reason = new Error('enough');
      client.connection.destroy(reason);
      client.connection.destroy();
      assert.equal(client.closes.length, 0, 'never from within the call');
      await under.until(() => client.closes.length === 1 && server.closes.length === 1);
      assert.equal(client.closes[0], reason);
      assert.equal(server.receivedBytes, 0);
      client.connection.write([Buffer.from('x')]);
      assert.equal(client.connection.bufferedBytes, 0);
      await under.pass(10);
      assert.equal(client.closes.length + server.closes.length, 2);
    });

    it('accepts up to the limit per address, and again when one leaves', async () => {
      const pairs = [await pair(), await pair(), await pair(), await pair()];
      if (tls) await assert.rejects(dial(), { name: 'NetworkError', code: 'ECONNRESET' });
      else {
        const refused = new Recorder(await dial());
        await under.until(() => refused.closes.length === 1);
      }
      assert.equal(accepted.length, 4);
      pairs[0]![0].connection.destroy();
      await under.until(() => pairs[0]![1].closes.length === 1);
      await pair();
      for (const { connection } of accepted) connection.destroy();
      await under.until(() => accepted.every(({ closes }) => closes.length === 1));
    });

    it('refuses a port that is taken, and a connection to one where nobody listens', async () => {
      const options = {
        host: under.host,
        port: listener.port,
        connectionsMax: 1,
        connectionsPerAddressMax: 1,
      };
      const again = under.server.listen(options, () => undefined);
      await assert.rejects(under.settle(again), { name: 'NetworkError', code: 'EADDRINUSE' });
      await under.settle(listener.close());
      await assert.rejects(dial(), { name: 'NetworkError', code: 'ECONNREFUSED' });
      listener = await under.settle(under.server.listen(options, () => undefined));
      assert.equal(listener.port, options.port);
    });

    it('keeps open connections when the listener closes', async () => {
      const [client, server] = await pair();
      await under.settle(listener.close());
      client.connection.write([Buffer.from('still here')]);
      await under.until(() => server.text === 'still here');
      client.connection.close();
      await under.until(() => server.closes.length === 1 && client.closes.length === 1);
    });
  });
}
