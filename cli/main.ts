#!/usr/bin/env node
import { Command } from 'commander';
import { doctorCommand } from './doctor/command';
import { exitStatus } from './exitStatus';
import { exportCommand } from './export/command';
import { importAccountsCommand } from './import/command';
import { importCommand } from './import/mail/command';
import { encryptCommand } from './import/encrypt';
import { reportCommand } from './report/command';
import { reviewCommand } from './review/command';

const program = new Command('mailhost')
  .description('What an operator runs beside pulumi')
  .addCommand(reviewCommand())
  .addCommand(doctorCommand())
  .addCommand(reportCommand())
  .addCommand(importAccountsCommand())
  .addCommand(importCommand())
  .addCommand(encryptCommand())
  .addCommand(exportCommand());

void program.parseAsync().catch((error: unknown) => {
  console.error(`mailhost: ${(error as Error).message}`);
  process.exitCode = exitStatus.error;
});
