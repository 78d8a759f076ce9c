// The folds that every scenario runs through.

import { coreDriver } from './core-driver.ts';
import type { FoldDriverKind } from './fold-driver.ts';
import { oracleDriver } from './oracle-driver.ts';

export const foldDrivers: readonly FoldDriverKind[] = [oracleDriver, coreDriver];
