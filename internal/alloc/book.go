// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

const (
	pageBits = 4 // a page is one cache line
	pageSize = 1 << pageBits
)

type page [pageSize]int32

// book gives each address that was asked for a number of its own, 0 at first. Addresses are
// handed out from the lowest on, so that neighbours are used together: they are on one page.
// The pages at the start of a span are found by index, as many as there may be users; those
// further up, where only addresses are that somebody asked for, by hash.
type book struct {
	pages []page  // the first is never written
	index []int32 // of pages, by the place in the span; 0 means that there is none
	far   map[place]int32
}

// newBook divides an index whose size depends on how many addresses are wanted among the spans:
// small ones have all they need, and the others the same part of the rest.
func newBook(p *pools, addrs int) book {
	room := uint64(2*addrs + 1024)
	share := room / uint64(max(1, len(p.spans)))
	total := uint64(0)
	for n := range p.spans {
		s := &p.spans[n]
		s.indexed = share
		if size := s.width(); size <= int64(share<<pageBits) {
			s.indexed = uint64(size+pageSize-1) >> pageBits
		}
		s.index, total = total, total+s.indexed
	}
	return book{
		pages: make([]page, 1, 1+addrs/pageSize+len(p.spans)),
		index: make([]int32, total),
		far:   make(map[place]int32),
	}
}

// look returns the number of an address of a span.
func (b *book) look(s *span, at place) int32 {
	return b.pages[b.pageOf(s, at)][(at.key.lo-s.first.lo)%pageSize]
}

// slot returns where the number of an address is kept, until slot is called again.
func (b *book) slot(s *span, at place) *int32 {
	n := b.pageOf(s, at)
	if n == 0 {
		n = int32(len(b.pages))
		b.pages = append(b.pages, page{})
		if i, ok := s.pageIndex(at.key); ok {
			b.index[i] = n
		} else {
			b.far[s.pageStart(at)] = n
		}
	}
	return &b.pages[n][(at.key.lo-s.first.lo)%pageSize]
}

func (b *book) pageOf(s *span, at place) int32 {
	if i, ok := s.pageIndex(at.key); ok {
		return b.index[i]
	}
	return b.far[s.pageStart(at)]
}

// pageIndex returns the place in book.index of the page of an address, if it has one there.
func (s *span) pageIndex(k key) (uint64, bool) {
	n := k.minus(s.first)
	return s.index + n.lo>>pageBits, n.hi == 0 && n.lo>>pageBits < s.indexed
}

// pageStart is the first address of a page. Pages begin with the span.
func (s *span) pageStart(at place) place {
	n := at.key.minus(s.first)
	n.lo &^= pageSize - 1
	return place{at.span, s.first.plus(n)}
}
