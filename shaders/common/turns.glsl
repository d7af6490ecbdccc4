// Sine and cosine of an angle given in units of 2^-32 full rotations, to about 1e-7 on every device. GLSL's own sin
// promises 2^-11, and the angle position * frequency does not fit a float for long contexts; as an integer it wraps
// around exactly.

// position * frequency modulo one full rotation. frequency: a 64-bit fraction of a full rotation, y the high word.
uint turns_of(uint position, uvec2 frequency) {
    uint high, low;
    umulExtended(position, frequency.x, high, low);
    return position * frequency.y + high;
}

// (cos, sin)
vec2 cos_sin_of_turns(uint turns) {
    const uint quadrant = (turns + 0x20000000u) >> 30;
    const float a = float(int(turns - (quadrant << 30))) * 1.46291807926715968e-9;  // 2 pi / 2^32; |a| <= pi/4
    const float a2 = a * a;
    // Taylor series; the first terms left out are below 2e-9 (sine) and 3e-9 (cosine) at pi/4.
    const float s = a + a * a2 * (-1.0 / 6.0 + a2 * (1.0 / 120.0 + a2 * (-1.0 / 5040.0 + a2 * (1.0 / 362880.0))));
    const float c =
        1.0 + a2 * (-0.5 + a2 * (1.0 / 24.0 + a2 * (-1.0 / 720.0 + a2 * (1.0 / 40320.0 + a2 * (-1.0 / 3628800.0)))));
    const vec2 even = (quadrant & 1u) == 0u ? vec2(c, s) : vec2(-s, c);
    return (quadrant & 2u) == 0u ? even : -even;
}
