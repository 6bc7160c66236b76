# A diamond: two products of one matrix, made at the same time, meet in a third.
function matmul(matrices) => (products);
function matmac(a, b, c) => (sum);

composition diamond(matrix) => (sum) {
    matmul(matrices = all matrix) => (top = products);
    matmul(matrices = all top) => (left = products);
    matmul(matrices = all top) => (right = products);
    matmac(a = each left, b = each right, c = each top) => (sum = sum);
}
