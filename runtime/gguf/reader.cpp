#include "runtime/gguf/reader.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/check.h"
#include "runtime/base/in_quotes.h"
#include "runtime/gguf/parts.h"
#include "runtime/gguf/split.h"

namespace atlas::gguf {
namespace {

constexpr std::string_view kSplitNumber = "split.no";
constexpr std::string_view kSplitCount = "split.count";
constexpr std::string_view kSplitTensors = "split.tensors.count";

struct OpenPart {
    MappedFile map;
    PartTables tables;
};

Result<OpenPart> open_part(const std::filesystem::path& path) {
    ATLAS_TRY(MappedFile map, MappedFile::open(path));
    auto tables = read_part(map.bytes());
    ATLAS_TRY_VOID(map.intact());
    if (!tables) return fail_in(printable(path.string(), 400), std::move(tables).error());
    return OpenPart{std::move(map), std::move(*tables)};
}

const KeyValue* find_key(const PartTables& tables, std::string_view key) {
    const auto& order = tables.keys_by_name;
    const auto found = std::lower_bound(order.begin(), order.end(), key, [&](uint32_t i, std::string_view wanted) {
        return tables.key_values[i].key < wanted;
    });
    if (found == order.end() || tables.key_values[*found].key != key) return nullptr;
    return &tables.key_values[*found];
}

// A split key: a small number of any integer type; nothing when it is not there.
Result<std::optional<uint64_t>> split_number(const PartTables& tables, std::string_view key) {
    const KeyValue* entry = find_key(tables, key);
    if (!entry) return std::optional<uint64_t>();
    if (const auto* number = std::get_if<uint64_t>(&entry->value)) return std::optional<uint64_t>(*number);
    if (const auto* number = std::get_if<int64_t>(&entry->value); number && *number >= 0) {
        return std::optional<uint64_t>(static_cast<uint64_t>(*number));
    }
    return fail(ErrorCode::corrupt, "key '{}': expected a number from 0, found {}", key, value_type_name(entry->type));
}

Result<void> expect_split(const PartTables& tables, std::string_view key, uint64_t expected) {
    ATLAS_TRY(const auto found, split_number(tables, key));
    if (!found) return fail(ErrorCode::corrupt, "key '{}': expected {}, found no such key", key, expected);
    if (*found != expected) return fail(ErrorCode::corrupt, "key '{}': expected {}, found {}", key, expected, *found);
    return {};
}

Result<void> check_all_there(const SplitName& name) {
    std::string missing;
    for (uint32_t i = 0; i < name.count; ++i) {
        const auto path = split_path(name, i);
        std::error_code ignored;  // a part that cannot be looked at fails with its reason when it is opened
        if (std::filesystem::exists(path, ignored) || ignored) continue;
        if (missing.size() > 400) {
            missing += ", ...";
            break;
        }
        missing += (missing.empty() ? "" : ", ") + in_quotes(path.filename().string());
    }
    if (missing.empty()) return {};
    return fail(ErrorCode::not_found, "{}: the model is split in {} parts, missing beside it: {}",
                printable(split_path(name, name.index).string(), 400), name.count, missing);
}

}  // namespace

File::File(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
File::File(File&&) noexcept = default;
File& File::operator=(File&&) noexcept = default;
File::~File() = default;

Result<File> File::open(const std::filesystem::path& path) {
    ATLAS_TRY(OpenPart named, open_part(path));
    auto count = split_number(named.tables, kSplitCount);
    if (!count) return fail_in(printable(path.string(), 400), std::move(count).error());

    auto parts = std::make_unique<Parts>();
    const auto keep = [&](OpenPart& part) {
        const auto bytes = part.map.bytes();
        parts->parts.push_back({std::move(part.map), bytes, part.tables.data_start});
    };
    if (!*count || **count <= 1) {
        parts->path = path;
        parts->name = printable(path.string(), 400);
        keep(named);
        parts->tables = std::move(named.tables);
        return File(std::move(parts));
    }

    const auto name = split_name(path);
    if (!name || name->count != **count) {
        return fail(ErrorCode::corrupt,
                    "{}: one of {} parts of a split model: expected a name that ends in '-00001-of-{:05}.gguf'",
                    printable(path.string(), 400), **count, **count);
    }
    ATLAS_TRY_VOID(check_all_there(*name));
    parts->path = split_path(*name, 0);
    parts->name = printable(parts->path.string(), 400);
    for (uint32_t i = 0; i < name->count; ++i) {
        const auto part_path = split_path(*name, i);
        ATLAS_TRY(OpenPart part, open_part(part_path));
        for (const auto& [key, expected] :
             {std::pair(kSplitNumber, uint64_t{i}), std::pair(kSplitCount, uint64_t{name->count})}) {
            if (auto same = expect_split(part.tables, key, expected); !same)
                return fail_in(printable(part_path.string(), 400), std::move(same).error());
        }
        for (TensorInfo& tensor : part.tables.tensors) tensor.part = i;
        keep(part);
        if (i == 0) {
            parts->tables = std::move(part.tables);
        } else {
            auto& all = parts->tables.tensors;
            std::move(part.tables.tensors.begin(), part.tables.tensors.end(), std::back_inserter(all));
        }
    }
    if (auto whole = join(*parts); !whole) return fail_in(parts->name, std::move(whole).error());
    return File(std::move(parts));
}

// Sorts the tensors of all parts by name and checks what needs all parts.
Result<void> File::join(Parts& parts) {
    const auto& tensors = parts.tables.tensors;
    auto& order = parts.tables.tensors_by_name;
    order.resize(tensors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
    for (size_t i = 1; i < order.size(); ++i) {
        const TensorInfo& a = tensors[order[i - 1]];
        const TensorInfo& b = tensors[order[i]];
        if (a.name == b.name) {
            return fail(ErrorCode::corrupt, "name of tensor {}: expected once, found in parts {} and {}",
                        in_quotes(a.name), std::min(a.part, b.part) + 1, std::max(a.part, b.part) + 1);
        }
    }
    ATLAS_TRY(const auto expected, split_number(parts.tables, kSplitTensors));
    if (expected && *expected != tensors.size()) {
        return fail(ErrorCode::corrupt, "key '{}': expected {} (the tensors of all parts), found {}", kSplitTensors,
                    tensors.size(), *expected);
    }
    return {};
}

Result<File> File::parse(std::span<const std::byte> bytes, std::string_view name) {
    auto tables = read_part(bytes);
    if (!tables) return fail_in(printable(name, 400), std::move(tables).error());
    auto parts = std::make_unique<Parts>();
    parts->name = printable(name, 400);
    parts->parts.push_back({std::nullopt, bytes, tables->data_start});
    parts->tables = std::move(*tables);
    return File(std::move(parts));
}

uint32_t File::version() const { return parts_->tables.version; }
uint32_t File::alignment() const { return parts_->tables.alignment; }
const std::filesystem::path& File::path() const { return parts_->path; }
const std::vector<KeyValue>& File::key_values() const { return parts_->tables.key_values; }
const std::vector<TensorInfo>& File::tensors() const { return parts_->tables.tensors; }

uint64_t File::file_bytes() const {
    uint64_t total = 0;
    for (const Parts::Part& part : parts_->parts) total += part.bytes.size();
    return total;
}

const KeyValue* File::find(std::string_view key) const { return find_key(parts_->tables, key); }

const TensorInfo* File::find_tensor(std::string_view name) const {
    const auto& order = parts_->tables.tensors_by_name;
    const auto& tensors = parts_->tables.tensors;
    const auto found = std::lower_bound(order.begin(), order.end(), name,
                                        [&](uint32_t i, std::string_view wanted) { return tensors[i].name < wanted; });
    return found == order.end() || tensors[*found].name != name ? nullptr : &tensors[*found];
}

std::span<const std::byte> File::data(const TensorInfo& tensor) const {
    if (!tensor.format) return {};
    ATLAS_CHECK(tensor.part < parts_->parts.size(), "tensor {} of part {} of {}", tensor.name, tensor.part,
                parts_->parts.size());
    const Parts::Part& part = parts_->parts[tensor.part];
    return part.bytes.subspan(part.data_start + tensor.offset_bytes, tensor.bytes);
}

std::span<const std::byte> File::piece(const TensorInfo& tensor, uint64_t from_byte, uint64_t bytes) const {
    const auto all = data(tensor);
    ATLAS_CHECK(from_byte <= all.size() && bytes <= all.size() - from_byte, "bytes {} + {} of tensor {} of {}",
                from_byte, bytes, tensor.name, all.size());
    return all.subspan(from_byte, bytes);
}

void File::release(const TensorInfo& tensor, uint64_t from_byte, uint64_t bytes) const {
    const auto part = piece(tensor, from_byte, bytes);
    if (const auto& map = parts_->parts[tensor.part].map) map->release(part);
}

Result<void> File::populate(const TensorInfo& tensor, uint64_t from_byte, uint64_t bytes) const {
    const auto part = piece(tensor, from_byte, bytes);
    if (const auto& map = parts_->parts[tensor.part].map) return map->populate(part);
    return {};
}

std::span<const std::byte> File::data_alone(const TensorInfo& tensor) const {
    const auto bytes = data(tensor);
    const auto& part = parts_->parts[tensor.part];
    if (part.map) part.map->read_alone(bytes);
    return bytes;
}

void File::prefetch(const TensorInfo& tensor, uint64_t from_byte, uint64_t bytes) const {
    const Parts::Part& part = parts_->parts[tensor.part];
    const auto whole = part.bytes.subspan(std::min<uint64_t>(part.data_start, part.bytes.size()));
    const auto rest = whole.subspan(std::min<uint64_t>(tensor.offset_bytes, whole.size()));
    if (!part.map || from_byte >= rest.size()) return;
    part.map->prefetch(rest.subspan(from_byte, std::min<uint64_t>(bytes, rest.size() - from_byte)));
}

}  // namespace atlas::gguf
