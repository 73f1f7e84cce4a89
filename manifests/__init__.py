"""The contract between the pipeline and the trainer: schemas, categories, reason codes, the shard manifest.

Imports neither of the two packages, and neither Ray nor torch.

rows, schema: the columns of every table, with units: the type of a row, and Arrow's schema of it
clip_status: whether a clip became a sample, in the words of each file
sample, image_sample: a sample of a shard: its key, its members, every field of KEY.json, of clips and of pictures;
    answers to questions about pictures: what each is worth, the list of classes
shards: manifest.json and manifest.parquet, read and written. where: an expression over a sample's columns.
    embeddings: what a model makes of each sample
tars: the headers of tars, a stranger's too
sample_index: index/*.arrow: where each member of each sample lies, a file for each split and generation, mapped
    into memory by trainers; foreign_index: what is checked before a stranger's is believed
reasons: the closed list of reason codes. retired: commands, options and settings that are gone, and what to use instead
checks, members: the checks of a clip and the members of a sample: keys, defaults, reasons, fields
categories.yaml: the 15 categories, HD-VILA's shares, seed queries
funnel, membership, columns: what became of every candidate; ids looked up among millions by sorted hashes; columns of
    numbers that lie in files
review: report/review.json, what people found who looked at clips
run_status, time_left, audit: status.json of a run; how long a job still takes; report.json, the
    numbers that requirements are held against
plugins: steps that other installed packages bring, by entry point
settings, yaml_text, wrong_value: how configurations are declared and read; identity and operational keys; what is
    wrong with a file or a value
stages: the stages: what each reads and makes, in the order of --redo
errors, exits, extras, commands: UserError: one message, no traceback; errors of disks and object stores, recognised;
    an example and the exit codes of every command; what installs a module that is missing; errors of a command line.
    terminal: one that closes
hashing, content, origin, version: the hashes behind every seeded choice; the hash by which a film is known again;
    which video an id or address means (and `addresses`: what may be kept of one); versions of the program and its files
files, inside, lock: the files of a folder or bucket, each whole or absent, none written outside of it; one run at a
    time over it. outage, parallel: a store that does not answer is waited for, and one that contradicts itself asked
    again; requests side by side. ranges: a file read by ranges
parquet, seals, colour: Parquet with checksums, and that of strangers; documents with checksums; what the numbers of a
    frame mean
reference: makes docs/reference.md from these tables
"""
