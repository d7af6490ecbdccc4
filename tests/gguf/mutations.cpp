#include "tests/gguf/mutations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <span>

#include "tests/gguf/raw_file.h"

namespace atlas::gguf::testing {
namespace {

/// An integer of the header.
struct Field {
    std::string name;
    size_t at;
    size_t bytes;
};

/// A valid file of which every integer is known.
class Base {
  public:
    explicit Base(std::string name) : name_(std::move(name)) {}

    template <class T>
    Base& number(std::string_view name, T value) {
        fields_.push_back({std::string(name), file_.size(), sizeof(T)});
        file_.put(value);
        return *this;
    }
    Base& text(std::string_view name, std::string_view value) {
        number(fmt::format("length of {}", name), uint64_t{value.size()});
        file_.raw(value);
        return *this;
    }
    Base& key(std::string_view name, uint32_t type) {
        return text(name, name).number(fmt::format("type of {}", name), type);
    }
    template <class T>
    Base& scalar(std::string_view name, uint32_t type, T value) {
        return key(name, type).number(name, value);
    }
    Base& array(std::string_view name, uint32_t type, uint64_t count) {
        return key(name, 9)
            .number(fmt::format("element type of {}", name), type)
            .number(fmt::format("count of {}", name), count);
    }
    Base& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
        text(name, name).number(fmt::format("dims of {}", name), static_cast<uint32_t>(dims.size()));
        for (const uint64_t dim : dims) number(fmt::format("dim of {}", name), dim);
        return number(fmt::format("type of {}", name), type).number(fmt::format("offset of {}", name), offset);
    }
    Base& header(uint64_t n_tensors, uint64_t n_keys) {
        file_.raw("GGUF");
        return number("version", uint32_t{3}).number("tensor count", n_tensors).number("key count", n_keys);
    }
    Base& data(size_t alignment, size_t bytes) {
        header_bytes_ = file_.size();
        file_.pad(alignment);
        for (size_t i = 0; i < bytes; ++i) file_.put(static_cast<uint8_t>(i * 7));
        return *this;
    }

    const std::string& name() const { return name_; }
    const std::vector<Field>& fields() const { return fields_; }
    std::vector<std::byte> bytes() const { return {file_.bytes().begin(), file_.bytes().end()}; }
    size_t header_bytes() const { return header_bytes_; }

  private:
    std::string name_;
    RawFile file_;
    std::vector<Field> fields_;
    size_t header_bytes_ = 0;
};

Base model_file() {
    Base base("model");
    base.header(4, 8).scalar("general.alignment", 4, uint32_t{64});
    base.key("general.architecture", 8).text("value of general.architecture", "llama");
    base.scalar("llama.block_count", 4, uint32_t{2})
        .scalar("llama.rope.freq_base", 6, 10000.0f)
        .scalar("split.no", 2, uint16_t{0});
    base.array("tokenizer.ggml.tokens", 8, 3)
        .text("token 0", "<unk>")
        .text("token 1", "a token of more than sixteen bytes")
        .text("token 2", "");
    base.array("tokenizer.ggml.scores", 6, 3).number("score", 0.0f).number("score", -1.0f).number("score", -2.0f);
    base.array("tokenizer.ggml.token_type", 5, 3)
        .number("kind", int32_t{2})
        .number("kind", int32_t{1})
        .number("kind", int32_t{1});
    base.tensor("token_embd.weight", {32, 3}, 8, 0).tensor("blk.0.attn_q.weight", {256, 1}, 12, 128);
    base.tensor("output_norm.weight", {8}, 0, 320).tensor("unknown", {8, 2, 2, 2}, 200, 384);
    return base.data(64, 384 + 64);
}

Base every_type() {
    Base base("types");
    base.header(0, 24);
    const auto both = [&](const std::string& name, uint32_t type, auto value) {
        base.scalar(name, type, value);
        base.array(name + "s", type, 2).number(name, value).number(name, value);
    };
    both("u8", 0, uint8_t{1});
    both("i8", 1, int8_t{1});
    both("u16", 2, uint16_t{1});
    both("i16", 3, int16_t{1});
    both("u32", 4, uint32_t{1});
    both("i32", 5, int32_t{1});
    both("f32", 6, 1.0f);
    both("bool", 7, uint8_t{1});
    both("u64", 10, uint64_t{1});
    both("i64", 11, int64_t{1});
    both("f64", 12, 1.0);
    base.key("string", 8).text("value of string", "text");
    base.array("strings", 8, 2).text("string 0", "x").text("string 1", "yy");
    return base.data(32, 0);
}

class Generator {
  public:
    Generator(size_t count, const std::function<void(const Mutant&)>& visit) : left_(count), visit_(visit) {}

    void emit(std::string what, std::vector<std::byte> bytes) {
        if (left_ == 0) return;
        --left_;
        visit_({std::move(what), std::move(bytes)});
    }
    bool done() const { return left_ == 0; }

  private:
    size_t left_;
    const std::function<void(const Mutant&)>& visit_;
};

void store(std::vector<std::byte>& bytes, size_t at, size_t n, uint64_t value) {
    if (at + n <= bytes.size()) std::memcpy(bytes.data() + at, &value, n);
}

uint64_t load(const std::vector<std::byte>& bytes, size_t at, size_t n) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, n);
    return value;
}

void cut_everywhere(const Base& base, Generator& out) {
    for (size_t n = 0; n <= base.header_bytes(); ++n) {
        auto bytes = base.bytes();
        bytes.resize(n);
        out.emit(fmt::format("{} cut to {} bytes", base.name(), n), std::move(bytes));
    }
}

std::vector<uint64_t> biting_values(uint64_t value, uint64_t file_bytes) {
    std::vector<uint64_t> values = {
        0, 1, 5, 31, 33, 64, file_bytes, file_bytes - 1, value + 1, value - 1, value * 2, value + 32, value + 64};
    for (const int bit : {8, 16, 31, 32, 60, 61, 62, 63}) {
        values.push_back(uint64_t{1} << bit);
        values.push_back((uint64_t{1} << bit) - 1);
    }
    for (const uint64_t small : {1, 2, 8, 31, 32, 64}) values.push_back(uint64_t{0} - small);
    return values;
}

void every_integer(const Base& base, Generator& out) {
    const auto right = base.bytes();
    for (const Field& field : base.fields()) {
        auto values = biting_values(load(right, field.at, field.bytes), right.size());
        for (uint64_t type = 0; type < 42; ++type) {
            if (field.name.find("type") != std::string::npos) values.push_back(type);
        }
        for (const uint64_t value : values) {
            auto bytes = right;
            store(bytes, field.at, field.bytes, value);
            out.emit(fmt::format("{}: {} at {} set to {:#x}", base.name(), field.name, field.at, value),
                     std::move(bytes));
        }
    }
}

void overlaps(Generator& out) {
    for (uint64_t first = 0; first <= 256; first += 32) {
        for (uint64_t second = 0; second <= 256; second += 32) {
            RawFile file;
            file.header(2, 0).tensor("a", {24}, 0, first).tensor("b", {32}, 8, second).pad(32).zeros(352);
            out.emit(fmt::format("tensors of 96 and 34 bytes at {} and {}", first, second), file.mutable_bytes());
        }
    }
}

void nested_arrays(Generator& out) {
    for (const size_t depth : {2u, 3u, 10u, 1000u, 100000u}) {
        RawFile file;
        file.header(0, 1).key("k", 9);
        for (size_t i = 0; i < depth; ++i) file.u32(9).u64(1);
        out.emit(fmt::format("{} arrays in each other", depth), file.u32(0).u64(1).put('x').mutable_bytes());
    }
}

// Files that ask for much memory per byte: the first of each kind is allowed, the second is over the limit.
void hungry_files(Generator& out) {
    constexpr size_t kMillion = 1000 * 1000;
    for (const size_t n : {8 * kMillion, 11 * kMillion}) {  // one byte in the file, eight in memory
        RawFile file;
        file.header(0, 1).key("k", 9).u32(0).u64(n).zeros(n);
        out.emit(fmt::format("{} numbers of one byte", n), file.mutable_bytes());
    }
    for (const size_t n : {5 * kMillion / 2, 3 * kMillion}) {  // eight bytes in the file, a std::string in memory
        RawFile file;
        file.header(0, 1).key("k", 9).u32(8).u64(n).zeros(8 * n);
        out.emit(fmt::format("{} empty strings", n), file.mutable_bytes());
    }
    for (const size_t n : {100 * 1000u, 900 * 1000u}) {
        RawFile file;
        file.header(0, n);
        for (uint32_t i = 0; i < n; ++i) file.u64(4).u32(i).u32(0).put('x');
        out.emit(fmt::format("{} keys", n), file.mutable_bytes());
    }
    for (const size_t n : {100 * 1000u, 900 * 1000u}) {
        RawFile file;
        file.header(n, 0);
        for (uint32_t i = 0; i < n; ++i) file.u64(4).u32(i).u32(1).u64(1).u32(0).u64(uint64_t{i} * 32);
        out.emit(fmt::format("{} tensors", n), file.pad(32).zeros(n * 32).mutable_bytes());
    }
}

void random_damage(const Base& base, uint64_t seed, Generator& out) {
    std::mt19937_64 random(seed);
    const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    auto bytes = base.bytes();
    const auto right = bytes;
    const size_t n_steps = 1 + below(6);
    for (size_t step = 0; step < n_steps && !bytes.empty(); ++step) {
        const size_t at = below(std::min(bytes.size(), base.header_bytes() + 16));
        const Field& field = base.fields()[below(base.fields().size())];
        switch (below(8)) {
            case 0:
            case 1:
                bytes[at] ^= std::byte{1} << below(8);
                break;
            case 2:
                bytes[at] = static_cast<std::byte>(below(256));
                break;
            case 3:
            case 4: {
                const auto values = biting_values(load(right, field.at, field.bytes), right.size());
                store(bytes, field.at, field.bytes, values[below(values.size())]);
                break;
            }
            case 5:
                store(bytes, field.at, field.bytes, below(300));
                break;
            case 6: {  // a piece of the file once more, or away
                const size_t n = 1 + below(std::min<size_t>(40, bytes.size() - at));
                const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(at);
                if (below(2) == 0) {
                    const std::vector<std::byte> piece(first, first + static_cast<std::ptrdiff_t>(n));
                    bytes.insert(first, piece.begin(), piece.end());
                } else {
                    bytes.erase(first, first + static_cast<std::ptrdiff_t>(n));
                }
                break;
            }
            default:
                bytes.resize(below(2) == 0 ? below(bytes.size() + 1) : bytes.size() + below(100));
                break;
        }
    }
    out.emit(fmt::format("{} with random damage, seed {}", base.name(), seed), std::move(bytes));
}

}  // namespace

std::vector<std::vector<std::byte>> right_files() { return {model_file().bytes(), every_type().bytes()}; }

void for_each_mutant(size_t count, const std::function<void(const Mutant&)>& visit) {
    Generator out(count, visit);
    const std::vector<Base> bases = {model_file(), every_type()};
    for (const Base& base : bases) out.emit(base.name() + " as it is", base.bytes());
    nested_arrays(out);
    hungry_files(out);
    overlaps(out);
    for (const Base& base : bases) cut_everywhere(base, out);
    for (const Base& base : bases) every_integer(base, out);
    for (uint64_t seed = 0; !out.done(); ++seed) random_damage(bases[seed % 3 == 0 ? 1 : 0], seed, out);
}

}  // namespace atlas::gguf::testing
