import { usageError } from '../errors.ts';

const PORT_DEFAULT = 9092;
const PORT_MAX = 65_535;

export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * `HOST`, `HOST:PORT`, `[IPV6]:PORT`, or several of them with commas between.
 *
 * @throws CliError (usage)
 */
export function parseAddresses(text: string): Address[] {
  const addresses = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(parseAddress);
  if (addresses.length === 0) throw usageError(`"${text}" is not an address`, 'Give HOST:PORT.');
  return addresses;
}

function parseAddress(text: string): Address {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:[\]\s]+))(?::(?<port>\d+))?$/.exec(text);
  const host = match?.groups?.['six'] ?? match?.groups?.['host'];
  const port = Number(match?.groups?.['port'] ?? PORT_DEFAULT);
  if (host === undefined || port < 1 || port > PORT_MAX) {
    throw usageError(`"${text}" is not an address`, 'Give HOST:PORT, such as 127.0.0.1:9092.');
  }
  return { host, port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
