// The bits of the half nearest to x, ties to even, on every device (the driver's own conversion may truncate).
// Values of 65520 and more become infinity, NaN stays NaN, small values become subnormal.
uint half_bits(float x) {
    const uint bits = floatBitsToUint(x), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return sign | 0x7E00u;
    if (magnitude >= 0x477FF000u) return sign | 0x7C00u;
    if (magnitude < 0x33000000u) return sign;  // below 2^-25
    if (magnitude >= 0x38800000u) {            // 2^-14 and more: move the exponent, round off 13 bits
        return sign | ((magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13);
    }
    const uint shift = 126u - (magnitude >> 23), mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
    const uint whole = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), tie = 1u << (shift - 1u);
    return sign | (whole + (rest > tie || (rest == tie && (whole & 1u) == 1u) ? 1u : 0u));
}
