import { testSeeds } from '../run-seeds.ts';

testSeeds('cluster', 200);
