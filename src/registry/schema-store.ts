import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

// A copy on disk of what the registry has told, so that an outage of the registry does not keep Ingot from starting again.

export interface SchemaStore {
  /** The id that the registry gave to this text under this subject, if it is remembered. */
  idOf(subject: string, text: string): number | null;
  textOf(schemaId: number): string | null;
  /** Remembers. Never rejects: without a copy nothing is lost but the start during an outage. */
  keepId(subject: string, text: string, schemaId: number): Promise<void>;
  keepText(schemaId: number, text: string): Promise<void>;
}

interface Stored {
  /** The registry that the ids belong to: another registry gives other ids. */
  registryUrl: string;
  subjects: { [subject: string]: { schemaId: number; text: string } };
  texts: { [schemaId: string]: string };
}

/** Schemas of other writers that are remembered at most. */
const TEXTS_MAX = 500;

/** Reads the copy if there is a sound one for this registry; begins an empty one otherwise. `onError` hears of writes that failed. */
export async function openSchemaStore(options: {
  file: string;
  registryUrl: string;
  onError: (error: unknown) => void;
}): Promise<SchemaStore> {
  const { file, registryUrl, onError } = options;
  const stored = await readStored(file, registryUrl);
  let writing: Promise<void> = Promise.resolve();
  const save = (): Promise<void> => {
    writing = writing.then(() => writeStored(file, stored)).catch(onError);
    return writing;
  };
  return {
    idOf: (subject, text) => {
      const known = Object.hasOwn(stored.subjects, subject) ? stored.subjects[subject] : undefined;
      return known?.text === text ? known.schemaId : null;
    },
    textOf: (schemaId) => stored.texts[schemaId] ?? null,
    keepId: async (subject, text, schemaId) => {
      const known = stored.subjects[subject];
      if (known?.schemaId === schemaId && known.text === text) return;
      // The same text has another id: this is not the registry it was, so its other ids mean nothing now.
      if (known?.text === text) stored.texts = {};
      stored.subjects[subject] = { schemaId, text };
      await save();
    },
    keepText: async (schemaId, text) => {
      if (stored.texts[schemaId] === text || Object.keys(stored.texts).length >= TEXTS_MAX) return;
      stored.texts[schemaId] = text;
      await save();
    },
  };
}

async function readStored(file: string, registryUrl: string): Promise<Stored> {
  const nothing: Stored = { registryUrl, subjects: {}, texts: {} };
  try {
    const stored = JSON.parse(await readFile(file, 'utf8')) as Partial<Stored>;
    const isSound = stored.registryUrl === registryUrl && typeof stored.subjects === 'object' && typeof stored.texts === 'object';
    return isSound ? { ...nothing, ...stored } : nothing;
  } catch {
    return nothing;
  }
}

async function writeStored(file: string, stored: Stored): Promise<void> {
  const text = JSON.stringify(stored, null, 1);
  const next = `${file}.${process.pid}`;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(next, text);
  // Renamed into place, so that whoever reads meanwhile sees the old copy or the new one whole.
  await rename(next, file);
}

/** Remembers nothing. */
export const NO_SCHEMA_STORE: SchemaStore = {
  idOf: () => null,
  textOf: () => null,
  keepId: async () => {},
  keepText: async () => {},
};
