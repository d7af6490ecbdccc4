#pragma once
// What a template computes with: Python's values, as far as templates can make them.
// Values are immutable and shared, but for namespaces, used-up generators, cyclers and joiners.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/jinja/budget.h"

namespace atlas::jinja {

enum class Kind : uint8_t {
    undefined,
    none,
    boolean,
    integer,
    real,
    string,
    list,
    tuple,
    dict,
    range,
    view,       // keys(), values() or items() of a dict
    generator,  // what map, select, batch ... give: can be walked once, has no length
    name_space,
    loop,     // the variable `loop`
    callable  // functions, macros, bound methods, cyclers, joiners
};

/// What a value refers to.
struct Object {
    explicit Object(Charge bytes, int nesting = 1) : charge(std::move(bytes)), depth(nesting) {}
    virtual ~Object() = default;
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;

    Charge charge;
    int depth;  // levels of containers inside, so that walking and destroying a value never recurses deeper than the
                // limit
};

struct Text;
struct Sequence;
struct Dict;

class Value {
  public:
    Value() = default;  // none
    static Value boolean(bool value) { return {Kind::boolean, value ? 1 : 0}; }
    static Value integer(int64_t value) { return {Kind::integer, value}; }
    static Value real(double value) {
        Value result(Kind::real, 0);
        result.real_ = value;
        return result;
    }
    Value(Kind kind, std::shared_ptr<const Object> object) : kind_(kind), object_(std::move(object)) {}

    Kind kind() const { return kind_; }
    bool is(Kind kind) const { return kind_ == kind; }
    bool is_none() const { return kind_ == Kind::none; }
    bool is_undefined() const { return kind_ == Kind::undefined; }
    bool is_string() const { return kind_ == Kind::string; }
    /// Booleans are integers, as in Python.
    bool is_integral() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
    bool is_number() const { return is_integral() || kind_ == Kind::real; }

    int64_t as_integer() const { return integer_; }  // of integer and boolean
    double as_real() const { return kind_ == Kind::real ? real_ : static_cast<double>(integer_); }  // of every number
    const std::string& text() const;                                                                // of string
    bool safe() const;                        // a string marked as needing no escapes (Markup)
    const std::vector<Value>& items() const;  // of list, tuple
    const Dict& dict() const;                 // of dict

    /// The object that the value refers to; the caller knows its type from kind().
    template <class T>
    const T& object() const {
        return static_cast<const T&>(*object_);
    }
    const std::shared_ptr<const Object>& shared() const { return object_; }
    int depth() const { return object_ ? object_->depth : 0; }

  private:
    Value(Kind kind, int64_t integer) : kind_(kind), integer_(integer) {}

    Kind kind_ = Kind::none;
    union {
        int64_t integer_ = 0;
        double real_;
    };
    std::shared_ptr<const Object> object_;
};

struct Text : Object {
    Text(Charge bytes_charge, std::string text, bool is_safe)
        : Object(std::move(bytes_charge)), bytes(std::move(text)), safe(is_safe) {}
    std::string bytes;
    bool safe;
};

struct Undefined : Object {
    Undefined(std::string why, bool is_forbidden) : Object({}), message(std::move(why)), forbidden(is_forbidden) {}
    std::string message;  // what to say when it is used: "'x' is undefined"
    bool forbidden;       // it exists, but the sandbox hides it
};

struct Sequence : Object {
    Sequence(Charge bytes, int nesting, std::vector<Value> values)
        : Object(std::move(bytes), nesting), items(std::move(values)) {}
    std::vector<Value> items;
};

/// A tuple (key, items) that filter groupby gives; its parts have the names grouper and list too.
struct Group : Sequence {
    using Sequence::Sequence;
};

struct Generator : Object {
    Generator(Charge bytes, int nesting, std::vector<Value> values)
        : Object(std::move(bytes), nesting), items(std::move(values)) {}
    mutable std::vector<Value> items;  // emptied by the first walk
};

struct Range : Object {
    Range(Charge bytes, int64_t from, int64_t to, int64_t by)
        : Object(std::move(bytes)), start(from), stop(to), step(by) {}
    int64_t size() const;
    int64_t start, stop, step;
};

struct View : Object {
    enum class Part : uint8_t { keys, values, items };
    View(Charge bytes, Part which, Value of)
        : Object(std::move(bytes), of.depth() + 2), part(which), dict(std::move(of)) {}
    Part part;
    Value dict;
};

/// namespace(...): the one thing that templates may write to. Kept alive by the interpreter until the end, because it
/// can hold itself.
struct Namespace : Object {
    explicit Namespace(Charge bytes) : Object(std::move(bytes)) {}
    mutable std::vector<std::pair<std::string, Value>> attributes;
};

class Interpreter;

struct Arguments {
    std::vector<Value> positional;
    std::vector<std::pair<std::string, Value>> named;
};

struct Callable : Object {
    using Object::Object;
    virtual Value call(Interpreter& interpreter, Arguments arguments) const = 0;
    virtual std::string describe() const = 0;  // for messages and printing
    /// Attributes, if the thing has some; `self` is the value that holds it.
    virtual bool attribute(Budget&, std::string_view, const Value& /*self*/, Value& /*out*/) const { return false; }
};

/// Makes values and charges them. Throws TemplateError (limit).
Value make_string(Budget& budget, std::string text, bool safe = false);
Value make_list(Budget& budget, std::vector<Value> items);
Value make_tuple(Budget& budget, std::vector<Value> items);
Value make_group(Budget& budget, Value key, Value items);
Value make_generator(Budget& budget, std::vector<Value> items);
Value make_range(Budget& budget, int64_t start, int64_t stop, int64_t step);
Value make_view(Budget& budget, View::Part part, const Value& dict);
Value make_undefined(std::string message);
Value make_forbidden(std::string message);

/// Levels of containers in a value made of these; throws when there are too many.
int nesting_of(Budget& budget, const std::vector<Value>& items);

/// Python's name of the type: "str", "list", "dict" ...
std::string_view type_name(const Value& value);
/// What `if` asks. Throws for nothing.
bool truth(const Value& value);
/// Throws the message of an undefined value; does nothing for others.
void refuse_undefined(const Value& value);
/// len(): throws for values that have none.
size_t length(Budget& budget, const Value& value);
/// Whether the type has a length and positions (jinja's test `sequence`).
bool is_sequence(const Value& value);
bool is_iterable(const Value& value);
/// Everything a for loop over the value sees. Uses up generators. Throws for values that cannot be walked.
std::vector<Value> iterate(Budget& budget, const Value& value);

}  // namespace atlas::jinja
