/** A broker that is some milliseconds away: a relay on the loopback that holds back what the broker sends. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';

export class Distance {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * @param address of the broker, 127.0.0.1:PORT
   * @param pass lets the latency pass by, once for each piece that the broker sends
   */
  static async to(address: string, pass: () => Promise<unknown>): Promise<Distance> {
    const { hostname, port } = new URL(`tcp://${address}`);
    // A side that has said all still wants to hear the rest.
    const server = createServer({ allowHalfOpen: true });
    const distance = new Distance(server);
    server.on('connection', (client) => {
      distance.#clients.add(client);
      client.once('close', () => distance.#clients.delete(client));
      relay(client, connect({ port: Number(port), host: hostname, allowHalfOpen: true }), pass);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return distance;
  }

  /** Where clients find the broker. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Both sockets end when one of them breaks; that is no error here. */
function relay(client: Socket, broker: Socket, pass: () => Promise<unknown>): void {
  const hangUp = (): void => {
    client.destroy();
    broker.destroy();
  };
  const later = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      await pass();
      yield chunk;
    }
  };
  pipeline(client, broker).catch(hangUp);
  pipeline(broker, later, client).catch(hangUp);
}
