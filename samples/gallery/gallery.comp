# Thumbnails of images, and a contact sheet of all of them: the sheet waits for
# every thumbnail, but their encoding does not wait for it.
function Decode = "image-decode" (images) => (pixels, stdio);
function Scale = "image-thumbnail" (pixels, size) => (small, stdio);
function Arrange = "image-sheet" (pixels) => (sheet, stdio);
function Encode = "image-encode" (pixels) => (images, stdio);

composition gallery(images, size) => (thumbnails, sheet) {
    Decode(images = each images) => (decoded = pixels);
    Scale(pixels = each decoded, size = all size) => (scaled = small);
    Encode(pixels = each scaled) => (thumbnails = images);
    Arrange(pixels = all scaled) => (arranged = sheet);
    Encode(pixels = all arranged) => (sheet = images);
}
