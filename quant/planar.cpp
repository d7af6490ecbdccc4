#include "quant/planar.h"

#include <cstring>
#include <utility>

#include "runtime/base/check.h"

namespace atlas {
namespace {

struct Plane {
    uint32_t first_byte;
    uint32_t bytes;
};

template <Format F>
inline constexpr auto kPlanes = nullptr;
#define ATLAS_PLANES(name, ...) \
    template <>                 \
    inline constexpr auto kPlanes<Format::name> = std::to_array<Plane>({__VA_ARGS__});
#include "quant/planes.def"
#undef ATLAS_PLANES

// Planes cover each byte of a block once, and each starts at a multiple of 16 bytes in a group.
template <Format F>
constexpr bool planes_are_sound() {
    uint32_t total = 0;
    for (const Plane& plane : kPlanes<F>) {
        if (kGroupBlocks * total % 16 != 0) return false;
        total += plane.bytes;
        for (const Plane& other : kPlanes<F>) {
            const bool apart = other.first_byte + other.bytes <= plane.first_byte ||
                               plane.first_byte + plane.bytes <= other.first_byte;
            if (&other != &plane && !apart) return false;
        }
    }
    return total == info(F).block_bytes;
}
#define ATLAS_PLANES(name, ...) static_assert(planes_are_sound<Format::name>(), #name);
#include "quant/planes.def"
#undef ATLAS_PLANES

// Copies one plane of a group. Sizes are constants, so that each copy is a few moves.
template <bool kToPlanar, uint32_t kBlockBytes, uint32_t kBytes>
void move_plane(const std::byte* from, std::byte* to) {
    if constexpr (kBytes == kBlockBytes) {
        std::memcpy(to, from, kGroupBlocks * kBytes);
        return;
    }
    for (uint32_t i = 0; i < kGroupBlocks; ++i) {
        if constexpr (kToPlanar)
            std::memcpy(to + i * kBytes, from + i * kBlockBytes, kBytes);
        else
            std::memcpy(to + i * kBlockBytes, from + i * kBytes, kBytes);
    }
}

template <Format F, bool kToPlanar, size_t... kIndex>
void move_group(const std::byte* from, std::byte* to, std::index_sequence<kIndex...>) {
    constexpr auto kPlaneAt = [](size_t index) {
        uint32_t at = 0;
        for (size_t p = 0; p < index; ++p) at += kPlanes<F>[p].bytes;
        return at * kGroupBlocks;
    };
    constexpr uint32_t kBlockBytes = info(F).block_bytes;
    (move_plane<kToPlanar, kBlockBytes, kPlanes<F>[kIndex].bytes>(
         from + (kToPlanar ? kPlanes<F>[kIndex].first_byte : kPlaneAt(kIndex)),
         to + (kToPlanar ? kPlaneAt(kIndex) : kPlanes<F>[kIndex].first_byte)),
     ...);
}

template <Format F, bool kToPlanar>
void move_groups(std::span<const std::byte> from, std::span<std::byte> to) {
    constexpr size_t kGroupBytes = unit_bytes(F, Layout::planar);
    for (size_t at = 0; at < from.size(); at += kGroupBytes) {
        move_group<F, kToPlanar>(from.data() + at, to.data() + at, std::make_index_sequence<kPlanes<F>.size()>());
    }
}

struct Regrouping {
    Format format;
    void (*to_planar)(std::span<const std::byte>, std::span<std::byte>);
    void (*from_planar)(std::span<const std::byte>, std::span<std::byte>);
};

constexpr auto kRegroupings = std::to_array<Regrouping>({
#define ATLAS_PLANES(name, ...) {Format::name, move_groups<Format::name, true>, move_groups<Format::name, false>},
#include "quant/planes.def"
#undef ATLAS_PLANES
});

const Regrouping* find(Format format) {
    for (const Regrouping& regrouping : kRegroupings) {
        if (regrouping.format == format) return &regrouping;
    }
    return nullptr;
}

const Regrouping& checked(Format format, size_t from_bytes, size_t to_bytes) {
    const Regrouping* found = find(format);
    ATLAS_CHECK(found != nullptr, "{} has no planes", info(format).name);
    ATLAS_CHECK(from_bytes == to_bytes && from_bytes % unit_bytes(format, Layout::planar) == 0,
                "{}: {} bytes into {} are not whole groups of {}", info(format).name, from_bytes, to_bytes,
                unit_bytes(format, Layout::planar));
    return *found;
}

}  // namespace

std::string_view name_of(Layout layout) { return layout == Layout::planar ? "planar" : "blocks"; }

bool has_planes(Format format) { return find(format) != nullptr; }

void to_planar(Format format, std::span<const std::byte> from, std::span<std::byte> to) {
    checked(format, from.size(), to.size()).to_planar(from, to);
}

void from_planar(Format format, std::span<const std::byte> from, std::span<std::byte> to) {
    checked(format, from.size(), to.size()).from_planar(from, to);
}

}  // namespace atlas
