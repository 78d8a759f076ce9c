import { memoryRegistry } from '../support/memory-registry.ts';
import { registryContract } from './registry-contract.ts';

registryContract(memoryRegistry);
