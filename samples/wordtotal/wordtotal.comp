# The words of texts: counted in each text, then merged. The result is that of
# wordcount over all of them.
function wordcount(text) => (counts);
function wordmerge(counts) => (counts);

composition wordtotal(text) => (counts) {
    wordcount(text = each text) => (partial = counts);
    wordmerge(counts = optional all partial) => (counts = counts);
}
