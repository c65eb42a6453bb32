import { testSeeds } from '../run-seeds.ts';

testSeeds('broker', 16);
