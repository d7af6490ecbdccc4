#pragma once
// The embedded SPIR-V modules, one row per kernel variant. Generated from kernels.cmake and quant/formats.def.

#include <cstdint>
#include <span>
#include <string_view>

#include "quant/planar.h"

namespace atlas {

enum class KernelFamily : uint16_t {
#define ATLAS_KERNEL_FAMILY(name) name,
#include "kernel_families.inc"
#undef ATLAS_KERNEL_FAMILY
};

/// Format and layout of a variant's WEIGHT axis; `none` for families without one.
enum class WeightAxis : uint8_t {
#define ATLAS_FORMAT(name, gguf_id, block_elems, block_bytes) name,
#include "quant/formats.def"
#undef ATLAS_FORMAT
    none,
#define ATLAS_PLANES(name, ...) name##_planar,
#include "quant/planes.def"
#undef ATLAS_PLANES
};

/// Requires has_planes(format) for Layout::planar.
WeightAxis weight_axis(Format format, Layout layout);

struct KernelModule {
    KernelFamily family;
    WeightAxis weight;
    std::span<const uint32_t> spirv;
    std::string_view name;
};

std::span<const KernelModule> kernel_modules();

/// The module of a family for a weight format. Requires that the variant exists.
const KernelModule& kernel_module(KernelFamily family, WeightAxis weight = WeightAxis::none);
const KernelModule& kernel_module(KernelFamily family, Format weight, Layout layout = Layout::blocks);
/// Whether this build has it: families that the shader compiler could not build are in the enum but have no modules.
bool has_kernel(KernelFamily family, WeightAxis weight = WeightAxis::none);
bool has_kernel(KernelFamily family, Format weight, Layout layout = Layout::blocks);
/// "matvec"
std::string_view name_of(KernelFamily family);

}  // namespace atlas
