/** An authority, and certificates of a broker on the loopback and of a client, in all the forms that the suite's 0097 reads. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runOk } from '../../peers/process.ts';

const PASSWORD = 'password-of-the-client';
const DAYS = '2';
const RSA = ['-newkey', 'rsa:2048'];

export class Certificates {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param folder where they are written; they hold for two days */
  static async create(folder: string): Promise<Certificates> {
    const certificates = new Certificates(folder);
    await certificates.#authority('ca');
    await certificates.#authority('unused-ca');
    await certificates.#signed('broker', ['-nodes'], 'subjectAltName=IP:127.0.0.1,DNS:localhost');
    await certificates.#signed('client', ['-passout', `pass:${PASSWORD}`], 'extendedKeyUsage=clientAuth');
    await certificates.#clientForms();
    certificates.#join(['ca.pem', 'unused-ca.pem'], 'all-cas.pem');
    certificates.#join(['broker.key', 'broker.pem'], 'broker-store.pem');
    return certificates;
  }

  /**
   * Clients have to show a certificate. TLS 1.2, since in 1.3 the client's handshake is over before the broker refuses it: librdkafka then
   * reports an error of the transport instead of one of TLS, and 0097 fails, with Apache Kafka as well.
   */
  get brokerSettings(): Record<string, string> {
    return {
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': this.#file('broker-store.pem'),
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': this.#file('ca.pem'),
      'ssl.client.auth': 'required',
      'ssl.enabled.protocols': 'TLSv1.2',
    };
  }

  get clientSettings(): Record<string, string> {
    return {
      'ssl.ca.location': this.#file('ca.pem'),
      'ssl.certificate.location': this.#file('client.pem'),
      'ssl.key.location': this.#file('client.key'),
      'ssl.key.password': PASSWORD,
    };
  }

  get environment(): Record<string, string> {
    return {
      SSL_client_auth: 'required',
      SSL_password: PASSWORD,
      SSL_pkcs: this.#file('client.p12'),
      SSL_pub_pem: this.#file('client.pem'),
      SSL_pub_der: this.#file('client.der'),
      SSL_priv_pem: this.#file('client.key'),
      SSL_priv_der: this.#file('client-key.der'),
      SSL_ca_pem: this.#file('ca.pem'),
      SSL_ca_der: this.#file('ca.der'),
      SSL_all_cas_pem: this.#file('all-cas.pem'),
    };
  }

  async #authority(name: string): Promise<void> {
    const [key, pem] = [this.#file(`${name}.key`), this.#file(`${name}.pem`)];
    const subject = ['-subj', `/CN=${name}`, '-days', DAYS];
    await openssl('req', '-x509', ...RSA, '-nodes', ...subject, '-keyout', key, '-out', pem);
    await openssl('x509', '-in', pem, '-outform', 'DER', '-out', this.#file(`${name}.der`));
  }

  async #signed(name: string, keyOptions: readonly string[], extension: string): Promise<void> {
    const [key, request, extensions] = ['key', 'csr', 'ext'].map((end) => this.#file(`${name}.${end}`));
    writeFileSync(extensions!, `${extension}\n`);
    const subject = ['-subj', `/CN=${name}`];
    await openssl('req', ...RSA, ...keyOptions, ...subject, '-keyout', key!, '-out', request!);
    const issuer = ['-CA', this.#file('ca.pem'), '-CAkey', this.#file('ca.key'), '-CAcreateserial'];
    const out = ['-days', DAYS, '-extfile', extensions!, '-out', this.#file(`${name}.pem`)];
    await openssl('x509', '-req', '-in', request!, ...issuer, ...out);
  }

  async #clientForms(): Promise<void> {
    const [pem, key] = [this.#file('client.pem'), this.#file('client.key')];
    const secret = ['-passin', `pass:${PASSWORD}`];
    await openssl('x509', '-in', pem, '-outform', 'DER', '-out', this.#file('client.der'));
    await openssl('pkey', '-in', key, ...secret, '-outform', 'DER', '-out', this.#file('client-key.der'));
    const chain = ['-inkey', key, '-certfile', this.#file('ca.pem')];
    const store = ['-passout', `pass:${PASSWORD}`, '-out', this.#file('client.p12')];
    await openssl('pkcs12', '-export', '-in', pem, ...chain, ...secret, ...store);
  }

  #join(names: readonly string[], joined: string): void {
    const texts = names.map((name) => readFileSync(this.#file(name), 'utf8'));
    writeFileSync(this.#file(joined), texts.join(''));
  }

  #file(name: string): string {
    return path.join(this.#folder, name);
  }
}

async function openssl(...args: string[]): Promise<void> {
  await runOk('openssl', args);
}
