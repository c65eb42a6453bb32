import type { Disk } from '../platform/index.ts';

/** Kafka's file of the same name and format: to which broker a data folder belongs. */
const FILE_NAME = 'meta.properties';
const FILE_BYTES_MAX = 64 * 1024;

/** The data folder is another broker's, or its meta.properties cannot be understood. */
export class DataFolderError extends Error {
  override readonly name = 'DataFolderError';
}

/**
 * Writes the broker's id into a new data folder, durably, or compares it with the one there: a folder keeps its broker. The folder must be
 * locked. Throws DataFolderError, or DiskError.
 */
export function claimDataFolder(disk: Disk, directory: string, nodeId: number): void {
  const path = `${directory}/${FILE_NAME}`;
  const text = readText(disk, path);
  if (text !== undefined) {
    const present = /^node\.id=(\d+)\s*$/m.exec(text)?.[1];
    if (present === undefined)
      throw new DataFolderError(`${path} does not say whose folder this is: node.id is missing`);
    if (Number(present) === nodeId) return;
    throw new DataFolderError(
      `${directory} belongs to the broker with node.id ${present}, not ${nodeId}: start with --node-id ${present}, or name another folder with --data`,
    );
  }
  const temporary = `${path}.tmp`;
  disk.remove(temporary);
  const file = disk.open(temporary, 'create');
  try {
    file.write([Buffer.from(`version=1\nnode.id=${nodeId}\n`)], 0);
    file.datasync();
  } finally {
    file.close();
  }
  disk.rename(temporary, path);
  disk.syncDirectory(directory);
}

function readText(disk: Disk, path: string): string | undefined {
  const stat = disk.stat(path);
  if (stat === undefined) return undefined;
  const bytes = new Uint8Array(Math.min(stat.sizeBytes, FILE_BYTES_MAX));
  const file = disk.open(path, 'read');
  try {
    return new TextDecoder().decode(bytes.subarray(0, file.read(bytes, 0)));
  } finally {
    file.close();
  }
}
