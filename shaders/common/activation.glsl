// Activations by number, which is a specialization constant: in the order of Activation (runtime/ops/ops.h), then none. silu and GELU:
// g / (1 + exp(-s)), s = g or 2 sqrt(2 / pi) (g + 0.044715 g^3), which is 0.5 g (1 + tanh(s / 2)).
#ifndef ATLAS_ACTIVATION_GLSL
#define ATLAS_ACTIVATION_GLSL
const uint kSiluClamped = 5;

// exp(-s) overflows to infinity for s < -88; then the quotient is the right answer, 0 or -0.
float over_one_plus_exp(float numerator, float s) { return numerator / (1.0 + exp(-s)); }

// ln(1 + exp(g)) without losing a small exp(g) beside 1: log(z) is off by the rounding of z = 1 + e, which the second term makes good.
float softplus(float g) {
    const float e = exp(-abs(g));
    precise const float z = 1.0 + e;
    precise const float lost = e - (z - 1.0);
    return max(g, 0.0) + (log(z) + lost / z);
}

float activated(uint activation, float g) {
    switch (activation) {
        case 0: return over_one_plus_exp(g, g);
        case 1: return over_one_plus_exp(g, 1.5957691216057308 * (g + 0.044715 * g * g * g));
        case 2: return max(g, 0.0) * max(g, 0.0);
        case 3: return over_one_plus_exp(1.0, g);
        case 4: return softplus(g);
        case kSiluClamped: return over_one_plus_exp(min(g, 7.0), 1.702 * min(g, 7.0));
        default: return g;
    }
}

// What an activated gate is multiplied with.
float gate_factor(uint activation, float up) { return activation == kSiluClamped ? clamp(up, -7.0, 7.0) + 1.0 : up; }
#endif
