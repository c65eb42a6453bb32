import { usesTls, type ListenerConfig } from '../config/listeners.ts';
import { ConfigError } from '../config/load.ts';
import type { PemSource, TlsOptions } from '../platform/tls.ts';
import { certificateMapping, type CertificateMapping } from './principal-mapping.ts';

/** How a listener speaks TLS, if it does. */
export function tlsOptionsOf({
  security,
  settings,
}: ListenerConfig): Omit<TlsOptions, 'onFailed' | 'onArrival'> | undefined {
  if (!usesTls(security)) return undefined;
  const source = (
    text: 'ssl.keystore.certificate.chain' | 'ssl.keystore.key' | 'ssl.truststore.certificates',
    file: 'ssl.keystore.location' | 'ssl.key.location' | 'ssl.truststore.location',
  ): PemSource | undefined => {
    const [inText, inFile] = [settings[text], settings[file]];
    if (inText !== undefined) return { text: pemText(inText) };
    return inFile === undefined ? undefined : { file: inFile };
  };
  const certificates = source('ssl.keystore.certificate.chain', 'ssl.keystore.location');
  if (certificates === undefined) throw new Error('a listener with TLS has no certificate');
  return {
    certificates,
    key: source('ssl.keystore.key', 'ssl.key.location'),
    keyPassword: settings['ssl.key.password'],
    trusted: source('ssl.truststore.certificates', 'ssl.truststore.location'),
    clientAuth: settings['ssl.client.auth'],
    versions: settings['ssl.enabled.protocols'],
    cipherSuites: settings['ssl.cipher.suites'],
    handshakeTimeoutMs: settings['ssl.handshake.timeout.ms'],
    handshakesMax: settings['ssl.handshakes.max'],
    reloadMs: settings['ssl.reload.interval.ms'],
  };
}

/** As Kafka's files of properties hold it, in one line: `\\n` stands for the end of one. */
function pemText(text: string): string {
  return text.replaceAll(String.raw`\n`, '\n');
}

/** What certificates say of clients; undefined where others things say who they are. Throws ConfigError for rules that are none. */
export function mappingOf({ name, security, settings }: ListenerConfig): CertificateMapping | undefined {
  if (security !== 'SSL' || settings['ssl.client.auth'] === 'none') return undefined;
  try {
    return certificateMapping(settings['ssl.principal.mapping.rules']);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigError([`ssl.principal.mapping.rules of the listener ${name}: ${error.message}`]);
  }
}
