# Thumbnails of the images in a bucket, put into another: a prefix of blobs in, an
# item for each thumbnail out that says where it is. No image waits for another. Of images with the same key,
# from several buckets, one thumbnail would be left.
function BlobList(prefixes) => (refs);
function BlobGet(refs) => (contents);
function Decode = "image-decode" (images) => (pixels, stdio);
function Scale = "image-thumbnail" (pixels, size) => (small, stdio);
function Encode = "image-encode" (pixels) => (images, stdio);
function BlobPut(refs, contents) => (results);

composition thumbnails_blobs(from, to, size) => (results) {
    BlobList(prefixes = all from) => (refs = refs);
    BlobGet(refs = each refs) => (images = contents);
    Decode(images = each images) => (decoded = pixels);
    Scale(pixels = each decoded, size = all size) => (scaled = small);
    Encode(pixels = each scaled) => (thumbnails = images);
    BlobPut(refs = all to, contents = each thumbnails) => (results = results);
}
