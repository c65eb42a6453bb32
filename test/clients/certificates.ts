import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface Certificate {
  /** Of PEM files. */
  readonly certificate: string;
  readonly key: string;
  /** Both in one, as `ssl.keystore.location` takes them. */
  readonly both: string;
}

/** Certificates for tests, made by openssl in a temporary folder. */
export class Certificates {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'polylog-certificates-'));
  #count = 0;

  /** An authority, which signs others. */
  authority(name = 'Test authority'): Certificate {
    return this.#make(`/CN=${name}`, ['-addext', 'basicConstraints=critical,CA:TRUE']);
  }

  /** `subject` as openssl writes it: `/C=DE/O=Example/CN=alice`. */
  signed(by: Certificate, subject: string, options: { days?: number } = {}): Certificate {
    const extensions = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const issuer = ['-CA', by.certificate, '-CAkey', by.key];
    return this.#make(subject, [...issuer, ...extensions], options.days);
  }

  /** The file of its key, encrypted. */
  encrypted({ key }: Certificate, password: string): string {
    const file = `${key}.encrypted`;
    const how = ['pkcs8', '-topk8', '-in', key, '-out', file, '-passout', `pass:${password}`];
    execFileSync('openssl', how, { stdio: 'pipe' });
    return file;
  }

  /** A file of this text. */
  file(name: string, text: string): string {
    const file = path.join(this.folder, name);
    writeFileSync(file, text);
    return file;
  }

  #make(subject: string, more: readonly string[], days = 30): Certificate {
    const place = path.join(this.folder, String(this.#count++));
    const [certificate, key] = [`${place}.crt`, `${place}.key`];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-utf8'];
    const made = ['-keyout', key, '-out', certificate, '-days', String(days), '-subj', subject];
    execFileSync('openssl', ['req', '-x509', ...kind, ...made, ...more], { stdio: 'pipe' });
    const both = `${place}.pem`;
    writeFileSync(both, readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8'));
    return { certificate, key, both };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
