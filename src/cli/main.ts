#!/usr/bin/env node
/** The program `gigatun`: everything of it is in `program.ts` and the file of each command. */
import { runProgram } from './program.ts';

process.exitCode = await runProgram(process.argv.slice(2));
