/* SPDX-License-Identifier: Apache-2.0
 * schemas/tables.tbl.h - the tables of the main environment. schemas/STORE.md has keys and values.
 * Numbers enter checksums: never renumber or reuse.
 *
 * TABLE(name, number, checked, append)
 *   checked  1: values carry a checksum; 0: the values are empty, the key is all there is
 *   append   1: new keys are the highest of the table (the store may use that) */
TABLE(meta, 1, 1, 0)
TABLE(ids, 2, 1, 0)
TABLE(spec, 3, 1, 1)
TABLE(part, 4, 1, 0)
TABLE(state, 5, 1, 0)
TABLE(ready, 6, 0, 0)
TABLE(run, 7, 1, 0)
TABLE(timer, 8, 0, 0)
TABLE(park, 9, 1, 0)
TABLE(gate, 10, 1, 0)
TABLE(lane, 11, 1, 0)
TABLE(try, 12, 1, 0)
TABLE(uniq, 13, 1, 0)
TABLE(jrn, 14, 1, 1)
TABLE(block, 15, 1, 0)
TABLE(count, 16, 1, 0)
TABLE(reg, 17, 1, 0)
TABLE(names, 18, 1, 0)
TABLE(zone, 19, 1, 0)
TABLE(sched, 20, 1, 0)
TABLE(scur, 21, 1, 0)
TABLE(ledger, 22, 1, 0)
TABLE(reply, 23, 1, 0)
TABLE(replyage, 24, 0, 0)
TABLE(calendar, 25, 1, 0)
TABLE(range, 26, 1, 0)
TABLE(fam, 28, 1, 0)
TABLE(kids, 29, 1, 0)
TABLE(watermark, 30, 1, 0)
TABLE(enrolled, 31, 1, 0)
/* to 40 are reserved: edge lock fair dead label */
