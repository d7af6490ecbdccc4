// Cosine and sine of a pair's angle times the magnitude, for kernels with turns[], factors[], positions[] and the fields of push/rope.h.
vec2 cos_sin_of(uint token, uint pair) {
    uvec2 frequency = turns[pc.turns_at + pair];
    if (pc.has_factors != 0) {
        // The quotient as a float, then back to a fraction: both words are exact (24 significant bits).
        const float f =
            (float(frequency.y) + float(frequency.x) * 2.3283064365386963e-10) / factors[pc.factors_at + pair];
        const float part = f - floor(f * 2.3283064365386963e-10) * 4294967296.0;  // full rotations drop out
        frequency = uvec2(uint(fract(part) * 4294967296.0), uint(part));
    }
    return pc.magnitude * cos_sin_of_turns(turns_of(positions[pc.positions_at + token], frequency));
}
