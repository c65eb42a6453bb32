import { testSeeds } from '../run-seeds.ts';

testSeeds('transactions', 12);
