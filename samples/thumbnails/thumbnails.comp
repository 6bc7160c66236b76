# Thumbnails of images: each image goes through three functions by itself, and
# the next begins when the one before it is done with that image.
function Decode = "image-decode" (images) => (pixels, stdio);
function Scale = "image-thumbnail" (pixels, size) => (small, stdio);
function Encode = "image-encode" (pixels) => (images, stdio);

composition thumbnails(images, size) => (thumbnails) {
    Decode(images = each images) => (decoded = pixels);
    Scale(pixels = each decoded, size = all size) => (scaled = small);
    Encode(pixels = each scaled) => (thumbnails = images);
}
