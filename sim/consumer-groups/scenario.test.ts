import { testSeeds } from '../run-seeds.ts';

testSeeds('consumer-groups', 16);
