#!/usr/bin/env node
import { Command } from 'commander';
import { doctorCommand } from './doctor/command';
import { exitStatus } from './exitStatus';
import { reviewCommand } from './review/command';

const program = new Command('mailhost')
  .description('What an operator runs beside pulumi')
  .addCommand(reviewCommand())
  .addCommand(doctorCommand());

void program.parseAsync().catch((error: unknown) => {
  console.error(`mailhost: ${(error as Error).message}`);
  process.exitCode = exitStatus.error;
});
