# The same as logcount.comp as a script, but for no logs at all: then there is no
# total, which is an error.
input set logs
input item pattern
output item total
ephemeral set partial

partial = for each log in logs : sumoccurrence(log, pattern)
total = sum(partial)
