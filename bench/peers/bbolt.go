// bbolt under the cells of `Kvasir.Benchmarks tree`: the same keys, values, order and transactions, every commit synced.
// bbolt DIR KEYS READS scattered|sorted BATCHES SINGLES WRITERS EACH; prints a line for each cell: name, operations a second.
package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	keyBytes       = 16
	valueBytes     = 100
	loadedTogether = 10000
	batch          = 1000
	rounds         = 3
)

var (
	db     *bolt.DB
	count  uint64
	bucket = []byte("b")
	value  = make([]byte, valueBytes)
	sum    int
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func mix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB
	return z ^ (z >> 31)
}

func next(state *uint64) uint64 {
	*state ^= *state << 13
	*state ^= *state >> 7
	*state ^= *state << 17
	return *state % count
}

func writeKey(key []byte, place uint64) {
	span := math.MaxUint64 / count
	binary.BigEndian.PutUint64(key, place*span+mix(place)%span)
	binary.BigEndian.PutUint64(key[8:], mix(place+77))
}

func put(b *bolt.Bucket, place uint64) error {
	// bbolt keeps the slice until the commit.
	key := make([]byte, keyBytes)
	writeKey(key, place)
	return b.Put(key, value)
}

func once(name string, operations uint64, run func()) float64 {
	begun := time.Now()
	run()
	rate := float64(operations) / time.Since(begun).Seconds()
	if name != "" {
		fmt.Printf("%s %.3f\n", name, rate)
	}
	return rate
}

func repeat(name string, operations uint64, run func()) {
	once(name+"_first", operations, run)
	rates := make([]float64, rounds)
	for i := range rates {
		rates[i] = once("", operations, run)
	}
	sort.Float64s(rates)
	fmt.Printf("%s %.3f\n", name, rates[rounds/2])
}

func commit(commits, puts int, state *uint64) {
	for i := 0; i < commits; i++ {
		check(db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(bucket)
			for j := 0; j < puts; j++ {
				if err := put(b, next(state)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func main() {
	number := func(at int) uint64 { n, err := strconv.ParseUint(os.Args[at], 10, 64); check(err); return n }
	count = number(2)
	reads, sorted := number(3), os.Args[4] == "sorted"
	for i := range value {
		value[i] = 'v'
	}
	var err error
	db, err = bolt.Open(filepath.Join(os.Args[1], "bolt.db"), 0644, nil)
	check(err)
	check(db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket(bucket); return err }))
	once("load", count, func() {
		for done := uint64(0); done < count; {
			check(db.Update(func(tx *bolt.Tx) error {
				b := tx.Bucket(bucket)
				if sorted {
					b.FillPercent = 1
				}
				for i := 0; i < loadedTogether && done < count; i, done = i+1, done+1 {
					place := done
					if !sorted {
						place = done * 2654435761 % count
					}
					if err := put(b, place); err != nil {
						return err
					}
				}
				return nil
			}))
		}
	})
	state, key := uint64(88172645463325252), make([]byte, keyBytes)
	repeat("get", reads, func() {
		check(db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket(bucket)
			for i := uint64(0); i < reads; i++ {
				writeKey(key, next(&state))
				sum += int(b.Get(key)[0])
			}
			return nil
		}))
	})
	repeat("get_txn", reads, func() {
		for i := uint64(0); i < reads; i++ {
			writeKey(key, next(&state))
			check(db.View(func(tx *bolt.Tx) error { sum += int(tx.Bucket(bucket).Get(key)[0]); return nil }))
		}
	})
	repeat("scan", count, func() {
		check(db.View(func(tx *bolt.Tx) error {
			cursor, seen := tx.Bucket(bucket).Cursor(), uint64(0)
			for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
				seen++
				sum += int(k[0]) + int(v[0])
			}
			if seen != count {
				return fmt.Errorf("%d of %d keys", seen, count)
			}
			return nil
		}))
	})
	drawn := uint64(4711)
	once("batch1000", number(5)*batch, func() { commit(int(number(5)), batch, &drawn) })
	once("single", number(6), func() { commit(int(number(6)), 1, &drawn) })
	writers, each := number(7), number(8)
	// So that a batch waits for nobody who cannot come.
	db.MaxBatchSize = int(writers)
	gather := func(name string, place func(id, i uint64, state *uint64) uint64) {
		once(name, writers*each, func() {
			var all sync.WaitGroup
			for id := uint64(0); id < writers; id++ {
				all.Add(1)
				go func(id uint64) {
					defer all.Done()
					state := 1000 + id
					for i := uint64(0); i < each; i++ {
						at := place(id, i, &state)
						check(db.Batch(func(tx *bolt.Tx) error { return put(tx.Bucket(bucket), at) }))
					}
				}(id)
			}
			all.Wait()
		})
	}
	gather("group", func(id, i uint64, state *uint64) uint64 { return next(state) })
	gather("group_near", func(id, i uint64, state *uint64) uint64 { return (i*writers + id) % count })
	info, err := os.Stat(db.Path())
	check(err)
	fmt.Printf("file_mib %.3f\n", float64(info.Size())/1048576)
	check(db.View(func(tx *bolt.Tx) error {
		fmt.Printf("depth %d\n", tx.Bucket(bucket).Stats().Depth)
		return nil
	}))
	check(db.Close())
}
