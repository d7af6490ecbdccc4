#include "runtime/session/cache/snapshot.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>

#include "runtime/base/atomic_file.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/sha256.h"
#include "runtime/model/common_weights.h"

namespace atlas {

namespace {

static_assert(std::endian::native == std::endian::little, "snapshots are little-endian");

constexpr size_t kChecksumBytes = 64;
using Digits = std::array<char, kChecksumBytes>;

struct Header {
    std::array<char, 8> magic{'a', 't', 'l', 'a', 's', 'k', 'v', '\n'};
    uint32_t version = 1;
    uint32_t cache_layout = 0;
    std::array<char, 16> k_format{}, v_format{};  // names, padded with zeros
    Digits model{};                               // Model::identity
    uint32_t page_tokens = kPageTokens;
    uint32_t n_layer = 0;
    uint32_t kv_width = 0;
    uint32_t n_tokens = 0;
    uint64_t page_bytes = 0;
};
static_assert(sizeof(Header) == 8 + 8 + 32 + 64 + 16 + 8 && std::is_trivially_copyable_v<Header>);

template <size_t n>
void set_text(std::array<char, n>& to, std::string_view text) {
    ATLAS_CHECK(text.size() <= n, "'{}' is longer than {}", text, n);
    std::copy(text.begin(), text.end(), to.begin());
}

template <size_t n>
std::string text_of(const std::array<char, n>& from) {
    std::string text;
    for (const char c : from) {
        if (c == 0) break;
        text += c >= ' ' && c <= '~' ? c : '?';
    }
    return text;
}

Header header_for(const KvPool& pool, uint32_t n_tokens) {
    const Model& model = pool.model();
    Header header;
    header.cache_layout = model.backend().cache_layout();
    const auto format_text = [](Format format, bool rotated) {
        return fmt::format("{}{}", info(format).name, rotated ? "/r" : "");
    };
    set_text(header.k_format, format_text(pool.formats().k, pool.formats().rotate_k));
    set_text(header.v_format, format_text(pool.formats().v, pool.formats().rotate_v));
    set_text(header.model, model.identity());
    header.n_layer = model.config().n_layer();
    header.kv_width = model.config().layers.front().cache().k_width;
    header.n_tokens = n_tokens;
    header.page_bytes = pool.page_bytes();
    return header;
}

using Sink = std::function<Result<void>(std::span<const std::byte>)>;

Result<void> write_snapshot(const Timeline& timeline, const Sink& sink) {
    if (timeline.pool().states().exist()) {
        return fail(ErrorCode::unsupported, "snapshots of {} models are not supported: their layers have states",
                    timeline.pool().model().config().architecture);
    }
    if (timeline.pool().model().weights()[kRopeLong]) {
        return fail(
            ErrorCode::unsupported,
            "snapshots of {} models are not supported: which of their rope factors count depends on the context",
            timeline.pool().model().config().architecture);
    }
    Sha256 hash;
    const auto put = [&](std::span<const std::byte> bytes) {
        hash.add(bytes.data(), bytes.size());
        return sink(bytes);
    };
    const auto n_tokens = static_cast<uint32_t>(timeline.tokens().size());
    const Header header = header_for(timeline.pool(), n_tokens);
    ATLAS_TRY_VOID(put(std::as_bytes(std::span(&header, 1))));
    ATLAS_TRY_VOID(put(std::as_bytes(std::span(timeline.tokens()))));
    std::vector<std::byte> page(timeline.pool().page_bytes());
    for (uint32_t i = 0; i < pages_for(n_tokens); ++i) {
        ATLAS_TRY_VOID(timeline.pool().read_page(timeline.pages()[i], page));
        ATLAS_TRY_VOID(put(page));
    }
    const std::string digits = hash.hexadecimal();
    return sink(std::as_bytes(std::span(digits)));
}

struct Parts {
    std::vector<TokenId> tokens;
    std::span<const std::byte> pages;
};

Result<void> check_same(const Header& found, const Header& expected) {
    const auto differs = [](std::string_view what, const auto& here, const auto& there) {
        return fail(ErrorCode::invalid_argument, "a snapshot of another {}: it has {}, this session has {}", what,
                    there, here);
    };
    if (found.model != expected.model)
        return differs("model", text_of(expected.model).substr(0, 12), text_of(found.model).substr(0, 12));
    if (found.k_format != expected.k_format)
        return differs("format of the keys", text_of(expected.k_format), text_of(found.k_format));
    if (found.v_format != expected.v_format)
        return differs("format of the values", text_of(expected.v_format), text_of(found.v_format));
    if (found.cache_layout != expected.cache_layout)
        return differs("layout of the cache", expected.cache_layout, found.cache_layout);
    if (found.page_tokens != expected.page_tokens) return differs("page size", expected.page_tokens, found.page_tokens);
    if (found.n_layer != expected.n_layer || found.kv_width != expected.kv_width ||
        found.page_bytes != expected.page_bytes) {
        return fail(ErrorCode::corrupt, "{} layers of {} with pages of {} bytes: expected {}, {} and {}", found.n_layer,
                    found.kv_width, found.page_bytes, expected.n_layer, expected.kv_width, expected.page_bytes);
    }
    return {};
}

Result<Parts> parse(const KvPool& pool, std::span<const std::byte> bytes) {
    Header header;
    const Header expected = header_for(pool, 0);
    if (bytes.size() < sizeof(Header) + kChecksumBytes) {
        return fail(ErrorCode::corrupt, "{} bytes are not a snapshot: expected at least {}", bytes.size(),
                    sizeof(Header) + kChecksumBytes);
    }
    std::memcpy(&header, bytes.data(), sizeof(Header));
    if (header.magic != expected.magic)
        return fail(ErrorCode::corrupt, "not a snapshot: it begins with '{}'", text_of(header.magic));
    if (header.version != expected.version) {
        return fail(ErrorCode::unsupported, "snapshot version {}: this build reads {}", header.version,
                    expected.version);
    }
    // The checksum comes before the comparisons, so that a damaged field is not reported as another model.
    Sha256 hash;
    hash.add(bytes.data(), bytes.size() - kChecksumBytes);
    const std::string digits = hash.hexadecimal();
    if (std::memcmp(digits.data(), bytes.last(kChecksumBytes).data(), kChecksumBytes) != 0) {
        return fail(ErrorCode::corrupt, "the snapshot is damaged or cut: its checksum does not match its {} bytes",
                    bytes.size());
    }
    ATLAS_TRY_VOID(check_same(header, expected));
    const uint64_t token_bytes = uint64_t{header.n_tokens} * sizeof(TokenId);
    const uint64_t n_pages = (uint64_t{header.n_tokens} + kPageTokens - 1) / kPageTokens;
    const uint64_t most_pages = bytes.size() / header.page_bytes;  // bounds the next product
    if (n_pages > most_pages ||
        sizeof(Header) + token_bytes + n_pages * header.page_bytes + kChecksumBytes != bytes.size()) {
        return fail(ErrorCode::corrupt, "{} bytes do not hold {} tokens with pages of {} bytes", bytes.size(),
                    header.n_tokens, header.page_bytes);
    }
    Parts parts;
    parts.tokens.resize(header.n_tokens);
    if (token_bytes > 0) std::memcpy(parts.tokens.data(), bytes.data() + sizeof(Header), token_bytes);
    for (const TokenId token : parts.tokens) {
        const uint32_t n_vocab = pool.model().config().n_vocab;
        if (token >= n_vocab)
            return fail(ErrorCode::corrupt, "token {}: expected an id below {} (the vocabulary)", token, n_vocab);
    }
    parts.pages = bytes.subspan(sizeof(Header) + token_bytes, n_pages * header.page_bytes);
    return parts;
}

}  // namespace

Result<std::vector<std::byte>> snapshot(const Timeline& timeline) {
    std::vector<std::byte> bytes;
    const size_t n_tokens = timeline.tokens().size();
    bytes.reserve(sizeof(Header) + n_tokens * sizeof(TokenId) +
                  pages_for(static_cast<uint32_t>(n_tokens)) * timeline.pool().page_bytes() + kChecksumBytes);
    const auto append = [&](std::span<const std::byte> part) -> Result<void> {
        bytes.insert(bytes.end(), part.begin(), part.end());
        return {};
    };
    ATLAS_TRY_VOID(write_snapshot(timeline, append));
    return bytes;
}

Result<void> save_timeline(const Timeline& timeline, const std::filesystem::path& path) {
    ATLAS_TRY(AtomicFile file, AtomicFile::create(path));
    ATLAS_TRY_VOID(write_snapshot(timeline, [&](std::span<const std::byte> part) { return file.write(part); }));
    return file.commit();
}

Result<Timeline> restore(KvPool& pool, std::span<const std::byte> bytes) {
    ATLAS_TRY(const Parts parts, parse(pool, bytes));
    Timeline timeline(pool);
    timeline.reuse(parts.tokens);
    const auto first_token = static_cast<uint32_t>(timeline.tokens().size());
    const auto rest = std::span(parts.tokens).subspan(first_token);
    const uint32_t n_needed = timeline.pages_needed(static_cast<uint32_t>(rest.size())), n_there = pool.n_available();
    const auto refusal = [&] {
        return fail(
            ErrorCode::out_of_memory,
            "a snapshot of {} tokens needs {} more pages of the KV cache, {} are free: end another session or make "
            "the pool larger",
            parts.tokens.size(), n_needed, n_there);
    };
    if (n_needed > n_there) return refusal();
    const auto fill = [&]() -> Result<void> {
        // Page by page, because layers with a window do not have room for all.
        for (uint32_t at = first_token; at < parts.tokens.size(); at += kPageTokens) {
            const auto tokens =
                std::span(parts.tokens).subspan(at, std::min<size_t>(kPageTokens, parts.tokens.size() - at));
            ATLAS_TRY(const bool fits, timeline.reserve(static_cast<uint32_t>(tokens.size())));
            if (!fits) return refusal();  // other timelines read all slots of layers with a window
            const uint32_t i = at / kPageTokens;
            ATLAS_TRY_VOID(
                pool.write_page(timeline.pages()[i], parts.pages.subspan(i * pool.page_bytes(), pool.page_bytes())));
            timeline.append(tokens);
        }
        return {};
    };
    if (auto filled = fill(); !filled) {
        for (const uint32_t page : timeline.pages().subspan(first_token / kPageTokens)) {
            if (!pool.is_shared(page)) pool.forget(page);
        }
        return tl::unexpected(std::move(filled).error());
    }
    timeline.forget_unseen_windows();
    return timeline;
}

Result<Timeline> load_timeline(KvPool& pool, const std::filesystem::path& path) {
    ATLAS_TRY(const MappedFile file, MappedFile::open(path));
    ATLAS_TRY_VOID(file.populate(file.bytes()));
    auto timeline = restore(pool, file.bytes());
    ATLAS_TRY_VOID(file.intact());
    if (!timeline) return fail_in(path.string(), std::move(timeline).error());
    return timeline;
}

}  // namespace atlas
