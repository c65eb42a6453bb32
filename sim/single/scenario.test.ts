import { testSeeds } from '../run-seeds.ts';

testSeeds('single', 200);
