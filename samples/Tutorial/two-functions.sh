# The simplest database there is, after Martin Kleppmann's "Designing Data-Intensive Applications", chapter 3. Source it, set
# DATABASE to the path of a file, and: db_set 42 Reykjavik; db_get 42
db_set() { printf '%s,%s\n' "$1" "$2" >> "$DATABASE"; }
db_get() { grep "^$1," "$DATABASE" | tail -n 1 | sed "s/^$1,//"; }
